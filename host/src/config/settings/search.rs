//! Settings of networks made of searched cells.

use super::SectionDoc;
use crate::plan::define::Described;
use crate::search::network::CellsPlan;

/// Sections of this file.
pub(super) fn sections() -> Vec<SectionDoc> {
    vec![SectionDoc {
        place: "network",
        doc: "A network of cells, in place of `blocks`: it becomes them, and `biorule config show` prints them.",
        settings: CellsPlan::SETTINGS,
    }]
}
