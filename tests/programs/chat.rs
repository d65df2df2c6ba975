//! The chat room in a real browser: two pages, which talk through gateway and agent.

use std::path::Path;

use tunnel_tests::{
    browser::{Browser, Page},
    wait::within_limit,
};

use crate::program::{Running, program};

/// Waits until this page has so many lines, and the last of them is this one.
async fn hears(browser: &mut Browser, page: &Page, lines: usize, last: &str) {
    let condition = format!(
        "find('messages').children.length === {lines} && find('messages').lastElementChild.textContent === '{last}'"
    );
    browser.until(page, &condition).await;
}

#[tokio::test]
async fn two_pages_of_the_chat_talk_in_a_browser() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let command = program(
        "chat",
        &["--listen", "127.0.0.1:0", "--agents-listen", "127.0.0.1:0"],
    );
    within_limit(async {
        let Some(mut browser) = Browser::start("chat", directory).await else {
            return;
        };
        let mut chat = Running::start(command);
        let ready = chat.line("ready listen=").await;
        let (addr, _) = ready.split_once(' ').expect("two ports");

        let ada = browser.open(&format!("http://{addr}/?name=Ada")).await;
        browser.until(&ada, "document.body.dataset.state === 'in'").await;
        let grace = browser
            .open(&format!("http://{addr}/?name=Grace&say=Hello,%20Ada!"))
            .await;
        hears(&mut browser, &ada, 1, "GraceHello, Ada!").await;
        let say = "find('text').value = 'Grüße an <b>Grace</b>'; find('say').requestSubmit()";
        browser.evaluate(&ada, say).await;
        hears(&mut browser, &grace, 2, "AdaGrüße an <b>Grace</b>").await;
        assert_eq!(
            browser.evaluate(&grace, "find('people').innerText").await,
            "Ada\nGrace"
        );
        browser.picture(&grace, &directory.join("chat.png")).await;

        browser.evaluate(&ada, "find('leave').click()").await;
        browser.until(&ada, "document.body.dataset.code === '1000'").await;
        browser
            .until(&grace, "find('people').innerText === 'Grace'")
            .await;
        chat.signal("TERM");
        browser
            .until(&grace, "document.body.dataset.code === '1001'")
            .await;
        let ended = chat.ended().await;
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    })
    .await;
}
