//! What a page looks like, what it complains of, and whom it asks.

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Value, json};

use super::{Browser, Page};

impl Browser {
    /// Hears what the page says from now on: before it goes anywhere.
    pub async fn watch(&mut self, page: &Page) {
        for method in ["Runtime.enable", "Log.enable", "Network.enable"] {
            self.tell(page, method, &json!({})).await;
        }
    }

    /// Says how large the page's window is, and whether its user wants it dark.
    pub async fn look(&mut self, page: &Page, (width, height): (u32, u32), dark: bool) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.tell(page, "Emulation.setDeviceMetricsOverride", &size).await;
        let scheme = if dark { "dark" } else { "light" };
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.tell(page, "Emulation.setEmulatedMedia", &media).await;
    }

    /// How long the thread of the page has worked so far, by the processor's time.
    ///
    /// # Panics
    ///
    /// When the browser does not know.
    pub async fn busy(&mut self, page: &Page) -> Duration {
        let threads = json!({ "timeDomain": "threadTicks" });
        self.tell(page, "Performance.enable", &threads).await;
        let known = self.tell(page, "Performance.getMetrics", &json!({})).await;
        let mut metrics = known["metrics"].as_array().expect("a list").iter();
        let task = metrics
            .find(|metric| metric["name"] == "TaskDuration")
            .expect("it is told");
        Duration::from_secs_f64(task["value"].as_f64().expect("a number"))
    }

    /// Errors and warnings that the page has had so far, those of its policy included.
    pub fn complaints(&self, page: &Page) -> Vec<String> {
        let events = self.devtools.events(&page.session);
        events.filter_map(complaint).collect()
    }

    /// Whom the page has asked so far: `http://127.0.0.1:9090`.
    pub fn asked(&self, page: &Page) -> BTreeSet<String> {
        let events = self.devtools.events(&page.session);
        let requests = events.filter(|event| event["method"] == "Network.requestWillBeSent");
        let origin = |event: &Value| {
            let url = event["params"]["request"]["url"].as_str()?;
            let (scheme, behind) = url.split_once("://")?;
            let host = behind.split('/').next()?;
            Some(format!("{scheme}://{host}"))
        };
        requests.filter_map(origin).collect()
    }
}

/// The text of an event that is a complaint.
fn complaint(event: &Value) -> Option<String> {
    let told = &event["params"];
    match event["method"].as_str()? {
        "Runtime.exceptionThrown" => Some(told["exceptionDetails"].to_string()),
        "Runtime.consoleAPICalled" => {
            let is_bad = told["type"] == "error" || told["type"] == "warning";
            is_bad.then(|| told["args"].to_string())
        }
        "Log.entryAdded" => {
            let entry = &told["entry"];
            let is_bad = entry["level"] == "error" || entry["level"] == "warning";
            is_bad.then(|| format!("{} ({})", entry["text"], entry["url"]))
        }
        _ => None,
    }
}
