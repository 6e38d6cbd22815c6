//! Pages on paper and as pictures.

use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::page::Page;

impl Page {
    /// The page as a PDF, as the browser would print it.
    pub(crate) async fn pdf(&self) -> Vec<u8> {
        let settings = json!({"paperWidth": 8.27, "paperHeight": 11.69});
        let printed = self.devtools("Page.printToPDF", settings).await;
        STANDARD.decode(printed["data"].as_str().unwrap()).unwrap()
    }

    /// Lays the page out as on a sheet of A4, at 96 dots an inch.
    pub(crate) async fn lay_on_paper(&self) {
        let size = json!({"width": 794, "height": 1123, "deviceScaleFactor": 1, "mobile": false});
        self.devtools("Emulation.setDeviceMetricsOverride", size)
            .await;
        let media = json!({
            "media": "print",
            "features": [{"name": "prefers-color-scheme", "value": "light"}],
        });
        self.devtools("Emulation.setEmulatedMedia", media).await;
    }

    /// All of the page, also what is below the window's end.
    pub(crate) async fn picture(&self) -> Vec<u8> {
        let metrics = self.devtools("Page.getLayoutMetrics", json!({})).await;
        let size = &metrics["cssContentSize"];
        let settings = json!({
            "captureBeyondViewport": true,
            "clip": {
                "x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1,
            },
        });
        let taken = self.devtools("Page.captureScreenshot", settings).await;
        STANDARD.decode(taken["data"].as_str().unwrap()).unwrap()
    }
}

/// How many pages a PDF has.
pub(crate) fn pages(pdf: &[u8]) -> usize {
    let text = String::from_utf8_lossy(pdf);
    text.split("/Type /Page")
        .skip(1)
        .filter(|rest| !rest.starts_with('s'))
        .count()
}

/// Writes a picture if `tests/screenshots` asks for it, by `SCREENSHOTS=1`.
pub(crate) fn keep(name: &str, bytes: &[u8]) {
    if std::env::var_os("SCREENSHOTS").is_none_or(|wanted| wanted != "1") {
        return;
    }
    let directory: PathBuf = [env!("CARGO_MANIFEST_DIR"), "../target/screenshots"]
        .iter()
        .collect();
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::write(directory.join(name), bytes).unwrap();
}
