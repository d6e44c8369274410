//! A drawing as a figure of a page, and as a file of its own.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{Markup, PreEscaped, html};

use super::{Body, Drawing, Table};

/// Colours and classes of drawings: pages and files share them.
pub const STYLE: &str = include_str!("chart.css");

impl Drawing {
    /// As a figure: caption, drawing, and where there are numbers, a table of them. `id` is unique
    /// on the page.
    #[must_use]
    pub fn figure(&self, id: &str) -> Markup {
        html! {
            figure {
                figcaption {
                    b { (self.title) }
                    @if !self.note.is_empty() { span { (self.note) } }
                }
                @match &self.body {
                    Body::Lines(_) => (self.svg(id, Some(1.18 * self.size.0))),
                    Body::Pixels(png) => {
                        img class="px" alt=(self.text) width=(self.size.0) height=(self.size.1) src=(format!("data:image/png;base64,{}", STANDARD.encode(png)));
                    }
                }
                @if let Some(table) = &self.table {
                    details {
                        summary { "Data as a table" span class="hide" { ": " (self.title) } }
                        (table.html(&self.title))
                    }
                }
            }
        }
    }

    fn svg(&self, id: &str, width: Option<f64>) -> Markup {
        let Body::Lines(lines) = &self.body else {
            return html! {};
        };
        let (w, h) = (super::at(self.size.0), super::at(self.size.1));
        let style = width.map(|w| format!("max-width:{}px", super::at(w)));
        html! {
            svg class="chart" xmlns="http://www.w3.org/2000/svg" viewBox=(format!("0 0 {w} {h}")) role="img" style=[style] aria-labelledby=(format!("{id}-t {id}-d")) {
                title id=(format!("{id}-t")) { (self.title) }
                desc id=(format!("{id}-d")) { (self.text) }
                (lines)
            }
        }
    }

    /// As the bytes of a file, with the ending of its name: SVG with light and dark colours, or PNG.
    #[must_use]
    pub fn file(&self) -> (&'static str, Vec<u8>) {
        let lines = match &self.body {
            Body::Pixels(png) => return ("png", png.clone()),
            Body::Lines(lines) => lines,
        };
        let margin = 12.0;
        let (w, h) = (
            self.size.0 + 2.0 * margin,
            self.size.1 + 2.0 * margin + 22.0,
        );
        let (w, h) = (super::at(w), super::at(h));
        let svg = html! {
            svg class="chart" xmlns="http://www.w3.org/2000/svg" width=(w) height=(h) viewBox=(format!("0 0 {w} {h}")) role="img" aria-labelledby="t d" {
                title id="t" { (self.title) }
                desc id="d" { (self.text) }
                style { (PreEscaped(STYLE)) }
                rect class="paper" width="100%" height="100%" {}
                text class="value" x=(super::at(margin)) y="24" { (self.title) }
                g transform=(format!("translate({margin} {})", margin + 22.0)) { (lines) }
            }
        };
        ("svg", svg.into_string().into_bytes())
    }
}

impl Table {
    /// With a caption, and its scroll made reachable for the keyboard.
    #[must_use]
    pub fn html(&self, caption: &str) -> Markup {
        html! {
            div class="scroll" tabindex="0" role="region" aria-label=(caption) {
                table {
                    caption { (caption) }
                    thead { tr { @for head in &self.head { th scope="col" { (head) } } } }
                    tbody {
                        @for row in &self.rows {
                            tr {
                                @for (i, cell) in row.iter().enumerate() {
                                    @if i == 0 { th scope="row" { (cell) } } @else { td { (cell) } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
