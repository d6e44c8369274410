//! The flags of every command that reads a configuration.

use std::path::PathBuf;

use clap::Args;

use super::{Host, Open};
use crate::Result;
use crate::config::{self, Resolved, Sources, Table, Warnings};

/// Where a configuration comes from.
#[derive(Args, Clone, Debug, Default)]
pub struct ConfigArgs {
    /// Configuration files, later ones on top (but see `train --each`)
    #[arg(value_name = "CONFIG")]
    pub files: Vec<PathBuf>,

    /// Preset laid under the files; may be given more than once
    #[arg(long, value_name = "NAME")]
    pub preset: Vec<String>,

    /// Set one value, as `training.gradient.epochs=20` or `blocks.conv1.dropout=0.1`
    #[arg(long = "set", value_name = "PATH=VALUE")]
    pub sets: Vec<String>,

    /// Train with this one seed
    #[arg(long, value_parser = config::whole_text, allow_hyphen_values = true)]
    pub seed: Option<u64>,

    /// `auto`, `cpu`, `cuda` or `cuda:N`
    #[arg(long)]
    pub device: Option<String>,

    /// Folder with rule plugins, searched first; may be given more than once
    #[arg(long = "plugins", value_name = "DIR")]
    pub plugins: Vec<PathBuf>,
}

impl ConfigArgs {
    /// The sources these flags and this process's environment name.
    #[must_use]
    pub fn sources(&self) -> Sources {
        let mut flags = Vec::new();
        if let Some(seed) = self.seed {
            let one = config::make(i64::try_from(seed).unwrap_or(i64::MAX), "`--seed`");
            flags.push(("seeds".to_owned(), config::make(vec![one], "`--seed`")));
        }
        if let Some(device) = &self.device {
            let value = config::make(device.as_str(), "`--device`");
            flags.push(("device".to_owned(), value));
        }
        Sources {
            presets: self.preset.clone(),
            files: self.files.clone(),
            environment: std::env::vars().collect(),
            sets: self.sets.clone(),
            flags,
        }
    }

    /// What the user typed on top of files, one a line, for the record.
    #[must_use]
    pub fn overrides(&self) -> Vec<String> {
        let mut words: Vec<String> = self
            .preset
            .iter()
            .map(|p| format!("--preset {p}"))
            .collect();
        words.extend(self.files.iter().map(|f| f.display().to_string()));
        for (name, value) in std::env::vars() {
            if name.starts_with(config::ENVIRONMENT) {
                words.push(format!("{name}={value}"));
            }
        }
        words.extend(self.sets.iter().map(|s| format!("--set {s}")));
        words.extend(self.seed.map(|s| format!("--seed {s}")));
        words.extend(self.device.iter().map(|d| format!("--device {d}")));
        words
    }

    /// The merged layers and the plugins that they and the flags name.
    ///
    /// # Errors
    /// Usage error in a layer; plugin error where nothing can be opened.
    pub fn open(&self, open: Open) -> Result<(Table, Box<dyn Host>)> {
        let table = config::merge(&self.sources())?;
        let mut folders = self.plugins.clone();
        folders.extend(config::plugin_folders(&table)?);
        Ok((table, open(&folders)?))
    }

    /// The checked plan and the plugins it was checked against. Warnings about it go to standard
    /// error.
    ///
    /// # Errors
    /// Usage, data or plugin error.
    pub fn resolve(&self, open: Open) -> Result<(Resolved, Box<dyn Host>)> {
        let (table, host) = self.open(open)?;
        let mut resolved = config::resolve_table(table, &*host)?;
        self.warn(&mut resolved);
        Ok((resolved, host))
    }

    /// Prints the warnings about a plan, those about flags and environment among them.
    pub fn warn(&self, resolved: &mut Resolved) {
        self.folders_and_variables(&mut resolved.warnings);
        for text in resolved.warnings.iter() {
            eprintln!("warning: {text}");
        }
    }

    /// Flags and environment variables that look like wishes and that nothing reads.
    fn folders_and_variables(&self, warnings: &mut Warnings) {
        for folder in self.plugins.iter().filter(|f| !f.is_dir()) {
            let text = format!("`--plugins {}` is not a folder", folder.display());
            warnings.add(text);
        }
        for (name, _) in std::env::vars() {
            if let Some(meant) = config::meant_variable(&name) {
                let text = format!(
                    "the environment variable `{name}` has no effect: a setting is `{meant}`, with two underscores between its parts"
                );
                warnings.add(text);
            }
        }
    }
}
