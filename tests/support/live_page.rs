//! Somebody who looks at the live page of an admin interface, in a real browser.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::time::timeout;

use crate::browser::{Browser, Page};

/// What a human would look at: as wide as a usual window, and as high as the whole page.
const WINDOW: (u32, u32) = (1440, 1540);

/// After this what was to be seen does not come. A page is told once a second, and a machine may be busy.
const PATIENCE: Duration = Duration::from_secs(30);

/// Somebody who looks at the page.
#[derive(Debug)]
pub struct Viewer {
    /// The browser, which has nothing else to do.
    pub browser: Browser,
    /// The page.
    pub page: Page,
    directory: PathBuf,
    url: String,
}

impl Viewer {
    /// Opens the page, without having logged in; none without a browser. Pictures go into the directory.
    pub async fn come(test: &str, directory: &Path, url: &str) -> Option<Self> {
        let mut browser = Browser::start(test, directory).await?;
        let page = browser.blank().await;
        browser.watch(&page).await;
        browser.look(&page, WINDOW, false).await;
        browser.go(&page, url).await;
        Some(Self {
            browser,
            page,
            directory: directory.to_owned(),
            url: url.to_owned(),
        })
    }

    /// Opens the page and logs in, as somebody would.
    pub async fn log_in(test: &str, directory: &Path, url: &str, token: &str) -> Option<Self> {
        let mut viewer = Self::come(test, directory, url).await?;
        viewer.enter(token).await;
        viewer.until("document.body.dataset.snapshots >= 2").await;
        Some(viewer)
    }

    /// Writes a token into the form, and sends it.
    pub async fn enter(&mut self, token: &str) {
        self.until("document.activeElement?.id === 'token'").await;
        self.browser.write(&self.page, token).await;
        self.browser.press(&self.page, "Enter").await;
    }

    /// Waits until this is so, also over a page that begins anew.
    ///
    /// # Panics
    ///
    /// When it does not become so.
    pub async fn until(&mut self, condition: &str) {
        if timeout(PATIENCE, self.browser.until(&self.page, condition))
            .await
            .is_err()
        {
            panic!("it does not become so: {condition}");
        }
    }

    /// Clicks on the first element that fits.
    pub async fn click(&mut self, selector: &str) {
        self.browser.click(&self.page, selector).await;
    }

    /// The value of an expression, as text.
    pub async fn value(&mut self, expression: &str) -> String {
        self.browser.evaluate(&self.page, expression).await
    }

    /// Says yes in the dialog, and waits until it is gone.
    pub async fn confirm(&mut self) {
        self.until("document.getElementById('dialog').open").await;
        self.click("#dialog-yes").await;
        self.until("!document.getElementById('dialog').open").await;
    }

    /// Pictures of the page, for light and for dark.
    pub async fn pictures(&mut self, name: &str) {
        for (dark, scheme) in [(false, "light"), (true, "dark")] {
            self.browser.look(&self.page, WINDOW, dark).await;
            let seen = self.value("document.body.dataset.snapshots").await;
            self.until(&format!("document.body.dataset.snapshots > {seen}"))
                .await;
            let file = self.directory.join(format!("page-{name}-{scheme}.png"));
            self.browser.picture(&self.page, &file).await;
        }
        self.browser.look(&self.page, WINDOW, false).await;
    }

    /// The page has asked nobody else, and has complained of nothing but answers of these statuses.
    ///
    /// # Panics
    ///
    /// When it has.
    pub fn is_content(&self, statuses: &[&str]) {
        let asked: Vec<_> = self.browser.asked(&self.page).into_iter().collect();
        assert_eq!(asked, [&*self.url]);
        let complaints = self.browser.complaints(&self.page);
        let is_expected = |text: &String| {
            let told = "the server responded with a status of";
            statuses
                .iter()
                .any(|status| text.contains(&format!("{told} {status}")))
        };
        let others: Vec<_> = complaints.iter().filter(|text| !is_expected(text)).collect();
        assert!(others.is_empty(), "{others:#?}");
    }
}
