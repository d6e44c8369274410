//! Where the samples of a set are.

use crate::data::DataFolders;
use crate::data::registry::SetInfo;

/// Where a set comes from here, in words.
pub(super) fn place(set: &SetInfo, folders: &DataFolders) -> Option<String> {
    if set.is_own() {
        return Some("your files: `data.root`".to_owned());
    }
    if set.is_on_disk() {
        return folders
            .locate(set)
            .map(|folder| folder.display().to_string());
    }
    Some(
        if set.settings.is_empty() {
            "embedded"
        } else {
            "generated"
        }
        .to_owned(),
    )
}
