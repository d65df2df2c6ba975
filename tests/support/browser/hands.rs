//! What somebody does with a page: clicks, and keys.

use serde_json::{Value, json};

use super::{Browser, Page};

impl Browser {
    /// Clicks into the middle of the first element that fits, where it stands on the screen.
    ///
    /// # Panics
    ///
    /// When there is none, or something else stands above it.
    pub async fn click(&mut self, page: &Page, selector: &str) {
        let find = format!(
            "(() => {{
                const element = document.querySelector({selector});
                if (!element) return 'there is none';
                element.scrollIntoView({{ block: 'nearest' }});
                const at = element.getBoundingClientRect();
                const [x, y] = [at.x + at.width / 2, at.y + at.height / 2];
                const hit = document.elementFromPoint(x, y);
                return element.contains(hit) ? JSON.stringify([x, y]) : `it is below ${{hit?.outerHTML}}`;
            }})()",
            selector = json!(selector),
        );
        let at = self.evaluate(page, &find).await;
        let (x, y): (f64, f64) =
            serde_json::from_str(&at).unwrap_or_else(|_| panic!("a click on {selector}: {at}"));
        self.click_at(page, x, y).await;
    }

    /// Clicks at a place of the screen.
    pub async fn click_at(&mut self, page: &Page, x: f64, y: f64) {
        for kind in ["mouseMoved", "mousePressed", "mouseReleased"] {
            let what = json!({ "type": kind, "x": x, "y": y, "button": "left", "clickCount": 1 });
            self.tell(page, "Input.dispatchMouseEvent", &what).await;
        }
    }

    /// Presses a key, by its name: `Enter`, `Tab`, `ArrowDown`.
    pub async fn press(&mut self, page: &Page, key: &str) {
        let code = match key {
            "Enter" => 13,
            "Tab" => 9,
            "Escape" => 27,
            "ArrowRight" => 39,
            "ArrowDown" => 40,
            _ => 0,
        };
        let text = if key == "Enter" { "\r" } else { "" };
        for kind in ["keyDown", "keyUp"] {
            let what =
                json!({ "type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code, "text": text });
            self.tell(page, "Input.dispatchKeyEvent", &what).await;
        }
    }

    /// Writes where the cursor is.
    pub async fn write(&mut self, page: &Page, text: &str) {
        self.tell(page, "Input.insertText", &json!({ "text": text }))
            .await;
    }

    pub(super) async fn tell(&mut self, page: &Page, method: &str, what: &Value) -> Value {
        self.devtools.call(Some(&page.session), method, what).await
    }
}
