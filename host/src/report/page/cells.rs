//! Tables of a page. On phones they become cards, so each cell knows the head of its column.

use maud::{Markup, html};

/// A table: heads, and rows whose first cell names them.
pub(super) struct Cells<'a> {
    pub(super) caption: &'a str,
    pub(super) head: Vec<String>,
    pub(super) rows: Vec<Vec<Markup>>,
    /// Columns of words, which stand left; the first is one anyway.
    pub(super) words: &'a [usize],
}

/// Plain text as a cell.
pub(super) fn text(text: impl AsRef<str>) -> Markup {
    html! { (text.as_ref()) }
}

impl Cells<'_> {
    pub(super) fn show(&self) -> Markup {
        let class = |i: usize, cell: &Markup| match (self.words.contains(&i), cell.0 == "–") {
            (_, true) => "none",
            (true, _) => "t",
            _ => "",
        };
        html! {
            div class="scroll" tabindex="0" role="region" aria-label=(self.caption) {
                table class="stack" role="table" {
                    caption { (self.caption) }
                    thead role="rowgroup" {
                        tr role="row" {
                            @for (i, head) in self.head.iter().enumerate() {
                                th scope="col" role="columnheader" class=(if self.words.contains(&i) { "t" } else { "" }) { (head) }
                            }
                        }
                    }
                    tbody role="rowgroup" {
                        @for row in &self.rows {
                            tr role="row" {
                                @for (i, cell) in row.iter().enumerate() {
                                    @if i == 0 { th scope="row" role="rowheader" { (cell) } }
                                    @else { td role="cell" class=(class(i, cell)) data-h=(self.head.get(i).map_or("", String::as_str)) { (cell) } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
