//! Genotypes: what a search finds. A genotype names the primitive on each edge of each kind of
//! cell; how many cells there are and how wide they are is decided when it becomes a network.

mod json;
mod model;
pub mod published;
mod strings;
pub mod svg;
mod text;

use std::path::Path;

use serde_json::Value;

pub use model::{Cell, Edge, Genotype, SCHEMA_VERSION};

use super::space::Skeleton;
use crate::text::nearest;
use crate::{Error, ExitCode, Result};

impl Genotype {
    /// Reads the JSON form, DARTS's text, or an architecture string of NAS-Bench-201.
    ///
    /// # Errors
    /// Usage error with the place of what is wrong: line and column of the text, or the path in
    /// the JSON.
    pub fn read(text: &str) -> Result<Self> {
        let start = text.trim_start();
        let read = if start.starts_with(['{', '[']) {
            json::read(text)
        } else if start.starts_with('|') {
            strings::read(start.trim_end())
        } else {
            text::read(text)
        }?;
        read.check()?;
        Ok(read)
    }

    /// The genotype that `named` is the name or the file of; a folder of a search's run stands for
    /// the `genotype.json` in it.
    ///
    /// # Errors
    /// Usage error for what is neither, or cannot be read.
    pub fn open(named: &str) -> Result<Self> {
        if let Some(known) = Self::published(named) {
            return known;
        }
        let path = Path::new(named);
        let file = match path.is_dir() {
            true => path.join("genotype.json"),
            false => path.to_owned(),
        };
        if !path.exists() {
            let e = Error::usage(format!(
                "`{named}` is neither a file nor a published genotype"
            ));
            let names: Vec<&str> = published::names().collect();
            return Err(match nearest(named, names.iter().copied()) {
                Some(near) => e.hint(format!("did you mean `{near}`?")),
                None => e.hint(format!("published are `{}`", names.join("`, `"))),
            });
        }
        let text = std::fs::read_to_string(&file)
            .map_err(|e| Error::io(ExitCode::Usage, &file, &e).within("genotype"))?;
        let mut read = Self::read(&text).map_err(|e| e.within(format!("`{}`", file.display())))?;
        if read.name.is_empty() {
            let stem = path.file_stem().unwrap_or_default().to_string_lossy();
            read.name = stem.into_owned();
        }
        Ok(read)
    }

    /// The JSON form.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json::write(self)
    }

    /// The JSON form as the text of a file, an edge a line.
    #[must_use]
    pub fn to_json_text(&self) -> String {
        json::to_text(self)
    }

    /// DARTS's text, or for cells of NAS-Bench-201 their string.
    ///
    /// # Errors
    /// Usage error where the string cannot say it.
    pub fn to_text(&self) -> Result<String> {
        match self.skeleton {
            Skeleton::Darts => text::write(self),
            Skeleton::NasBench201 => strings::write(self),
        }
    }

    /// The published genotype of this name, where there is one.
    #[must_use]
    pub fn published(name: &str) -> Option<Result<Self>> {
        published::text(name).map(Self::read)
    }
}

#[cfg(test)]
mod tests;
