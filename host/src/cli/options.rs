//! The flags of every command that reads a configuration.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use clap::Args;

use super::warn::warn_once;
use super::{Host, Open, plugin_folders};
use crate::config::{self, Origin, Resolved, Sources, Table, Warnings, experiments};
use crate::{Result, threads};

/// Where a configuration comes from.
#[derive(Args, Clone, Debug, Default)]
pub struct ConfigArgs {
    /// Configuration files or names of experiments (`biorule experiments list`), later ones on top
    /// (but see `train --each`)
    #[arg(value_name = "CONFIG")]
    pub files: Vec<PathBuf>,

    /// Preset laid under the files; may be given more than once
    #[arg(long, value_name = "NAME")]
    pub preset: Vec<String>,

    /// The network of this genotype, as `network.genotype`: a file, the folder of a search, or the
    /// name of a published one (`biorule genotype show`)
    #[arg(long, value_name = "FILE_OR_NAME")]
    pub genotype: Option<String>,

    /// Set one value, as `training.gradient.epochs=20` or `blocks.conv1.dropout=0.1`
    #[arg(long = "set", value_name = "PATH=VALUE")]
    pub sets: Vec<String>,

    /// Texts in the program, laid under the files, with their names
    #[arg(skip)]
    pub embedded: Vec<(&'static str, &'static str)>,

    /// Train with this one seed
    #[arg(long, value_parser = config::whole_text, allow_hyphen_values = true)]
    pub seed: Option<u64>,

    /// Train with these seeds, as `seeds`; empty: as the configuration says
    #[arg(skip)]
    pub seeds: Vec<u64>,

    /// `auto`, `cpu`, `cuda` or `cuda:N`
    #[arg(long)]
    pub device: Option<String>,

    /// Start with the weights of this run's folder or safetensors file, as `init_from`
    #[arg(long, value_name = "RUN_OR_FILE")]
    pub init_from: Option<PathBuf>,

    /// Threads of kernels; 0 takes `RAYON_NUM_THREADS` or the cores there are. Changes no result
    #[arg(long, value_name = "N")]
    pub threads: Option<u32>,

    /// Folder with rule plugins, searched first; may be given more than once
    #[arg(long = "plugins", value_name = "DIR")]
    pub plugins: Vec<PathBuf>,
}

/// What may be changed of the configuration of a run that has ended.
#[derive(Args, Clone, Debug)]
pub struct RunConfigArgs {
    /// Set one value of the run's configuration, such as `data.root=…`
    #[arg(long = "set", value_name = "PATH=VALUE")]
    sets: Vec<String>,

    /// `auto`, `cpu`, `cuda` or `cuda:N`
    #[arg(long)]
    device: Option<String>,

    /// Threads of kernels; absent: as the run's configuration says. Changes no result
    #[arg(long, value_name = "N")]
    threads: Option<u32>,

    /// Folder with rule plugins, searched first; may be given more than once
    #[arg(long = "plugins", value_name = "DIR")]
    plugins: Vec<PathBuf>,
}

impl RunConfigArgs {
    /// The plan of the run whose configuration is `file`, with these flags, and the plugins.
    ///
    /// # Errors
    /// Those of reading any configuration.
    pub fn open(&self, file: PathBuf, open: Open) -> Result<(Resolved, Box<dyn Host>)> {
        let flags = ConfigArgs {
            files: vec![file],
            sets: self.sets.clone(),
            device: self.device.clone(),
            threads: self.threads,
            plugins: self.plugins.clone(),
            ..ConfigArgs::default()
        };
        let (table, host) = flags.open(open)?;
        let mut resolved = config::resolve_table(table, &*host)?;
        // What the run's own file asks for was said when it was trained.
        resolved
            .warnings
            .retain(|text| !text.contains("(from file `"));
        flags.warn(&mut resolved);
        Ok((resolved, host))
    }
}

impl ConfigArgs {
    /// The sources these flags and this process's environment name.
    #[must_use]
    pub fn sources(&self) -> Sources {
        let mut flags = Vec::new();
        if let Some(seed) = self.seed {
            let one = config::make(seed, "`--seed`");
            flags.push(("seeds".to_owned(), config::make(vec![one], "`--seed`")));
        }
        if !self.seeds.is_empty() {
            let list: Vec<_> = (self.seeds.iter())
                .map(|seed| config::make(*seed, "`--seeds`"))
                .collect();
            flags.push(("seeds".to_owned(), config::make(list, "`--seeds`")));
        }
        if let Some(device) = &self.device {
            let value = config::make(device.as_str(), "`--device`");
            flags.push(("device".to_owned(), value));
        }
        if let Some(from) = &self.init_from {
            let value = config::make(from.display().to_string(), "`--init-from`");
            flags.push(("init_from".to_owned(), value));
        }
        if let Some(genotype) = &self.genotype {
            let value = config::make(genotype.as_str(), "`--genotype`");
            flags.push(("network.genotype".to_owned(), value));
        }
        if let Some(threads) = self.threads {
            let value = config::make(i64::from(threads), "`--threads`");
            flags.push(("threads".to_owned(), value));
        }
        Sources {
            presets: self.preset.clone(),
            embedded: self.embedded.clone(),
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
        words.extend(
            self.embedded
                .iter()
                .map(|(name, _)| format!("embedded {name}")),
        );
        words.extend(self.files.iter().map(|f| f.display().to_string()));
        for (name, value) in std::env::vars() {
            if name.starts_with(config::ENVIRONMENT) {
                words.push(format!("{name}={value}"));
            }
        }
        words.extend(self.sets.iter().map(|s| format!("--set {s}")));
        words.extend(self.seed.map(|s| format!("--seed {s}")));
        if !self.seeds.is_empty() {
            let seeds: Vec<String> = self.seeds.iter().map(u64::to_string).collect();
            words.push(format!("--seeds {}", seeds.join(",")));
        }
        words.extend(
            self.init_from
                .iter()
                .map(|f| format!("--init-from {}", f.display())),
        );
        words.extend(self.genotype.iter().map(|g| format!("--genotype {g}")));
        words.extend(self.device.iter().map(|d| format!("--device {d}")));
        words.extend(self.threads.map(|n| format!("--threads {n}")));
        words
    }

    /// The command that trains by the same configuration, as a shell takes it: what is set of a
    /// search is left out.
    #[must_use]
    pub fn training_command(&self) -> String {
        let mut words = vec!["biorule".to_owned(), "train".to_owned()];
        words.extend(self.files.iter().map(|f| f.display().to_string()));
        let mut flag = |name: &str, value: String| words.extend([name.to_owned(), value]);
        for preset in &self.preset {
            flag("--preset", preset.clone());
        }
        for set in self.sets.iter().filter(|s| !s.trim().starts_with("search")) {
            flag("--set", set.clone());
        }
        if let Some(seed) = self.seed {
            flag("--seed", seed.to_string());
        }
        if let Some(device) = &self.device {
            flag("--device", device.clone());
        }
        if let Some(threads) = self.threads {
            flag("--threads", threads.to_string());
        }
        for folder in &self.plugins {
            flag("--plugins", folder.display().to_string());
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./:,@+".contains(c);
        let quoted = words.iter().map(|word| match word.chars().all(plain) {
            true => word.clone(),
            false => format!("'{}'", word.replace('\'', "'\\''")),
        });
        quoted.collect::<Vec<_>>().join(" ")
    }

    /// The words behind `biorule train` that lead to the same configuration in another process with
    /// the same environment and working folder; its seeds are left out.
    #[must_use]
    pub fn words(&self) -> Vec<OsString> {
        let mut words: Vec<OsString> = self.files.iter().map(OsString::from).collect();
        let mut flag = |name: &str, value: &dyn AsRef<OsStr>| {
            // In one word, so that a value may begin with a dash.
            let mut word = OsString::from(format!("--{name}="));
            word.push(value);
            words.push(word);
        };
        self.preset.iter().for_each(|name| flag("preset", name));
        self.sets.iter().for_each(|set| flag("set", set));
        self.genotype.iter().for_each(|name| flag("genotype", name));
        self.device.iter().for_each(|name| flag("device", name));
        self.init_from
            .iter()
            .for_each(|from| flag("init-from", from));
        self.threads
            .iter()
            .for_each(|n| flag("threads", &n.to_string()));
        self.plugins
            .iter()
            .for_each(|folder| flag("plugins", folder));
        words
    }

    /// The merged layers and the plugins that they and the flags name, with as many threads as
    /// they say.
    ///
    /// # Errors
    /// Usage error in a layer; plugin error where nothing can be opened.
    pub fn open(&self, open: Open) -> Result<(Table, Box<dyn Host>)> {
        for file in self.files.iter().filter(|file| file.is_file()) {
            let name = file.to_string_lossy();
            if experiments::text(&name).is_some() {
                super::warn::warn_once(&format!(
                    "the file `{name}` is read, not the experiment of that name"
                ));
            }
        }
        let table = config::merge(&self.sources())?;
        // Before a plugin is loaded or data are made: either may compute or start threads.
        super::warn::warn(threads::start(config::threads(&table)?)?);
        let host = plugin_folders::open(open, &self.plugins, &config::plugin_folders(&table)?)?;
        Ok((table, host))
    }

    /// The checked plan and the plugins it was checked against. Warnings about it go to standard
    /// error.
    ///
    /// # Errors
    /// Usage, data or plugin error.
    pub fn resolve(&self, open: Open) -> Result<(Resolved, Box<dyn Host>)> {
        let (table, host) = self.open(open)?;
        let mut resolved = config::resolve_table(table, &*host)?;
        resolved.from = self.origin();
        self.warn(&mut resolved);
        warn_refused(&*host);
        Ok((resolved, host))
    }

    /// Which of the program's own experiments this is, and what is typed on top of it.
    #[must_use]
    pub fn origin(&self) -> Option<Origin> {
        let (first, more) = self.files.split_first()?;
        let name = experiments::of_file(first)?.to_owned();
        let mut changed: Vec<String> = self.preset.clone();
        changed.extend(more.iter().map(|file| file.display().to_string()));
        changed.extend(self.genotype.iter().map(|_| "network.genotype".to_owned()));
        changed.extend(self.init_from.iter().map(|_| "init_from".to_owned()));
        let variables = std::env::vars().filter_map(|(name, _)| {
            let path = name.strip_prefix(config::ENVIRONMENT)?;
            Some(path.to_lowercase().replace("__", "."))
        });
        let sets = self.sets.iter().map(|set| {
            let (path, _) = set.split_once('=').unwrap_or((set, ""));
            path.trim().to_owned()
        });
        changed.extend(variables.chain(sets).filter(|path| is_change(path)));
        Some(Origin { name, changed })
    }

    /// Prints the warnings about a plan, those about the environment among them.
    pub fn warn(&self, resolved: &mut Resolved) {
        variables(&mut resolved.warnings);
        super::warn::warn(resolved.warnings.iter());
    }
}

/// Whether a setting that is typed on top of an experiment makes it another one: not where its files
/// lie, which of its seeds is run, and what decides no result.
fn is_change(path: &str) -> bool {
    let parts: Vec<&str> = path.split('.').collect();
    let free = matches!(
        parts[..],
        [
            "name" | "seed" | "seeds" | "device" | "output" | "experiment",
            ..
        ] | ["data", "root"]
            | ["extra_data", _, "root"]
    );
    !free && config::shown::decides(path)
}

/// Prints a warning about each plugin that is not used.
pub(super) fn warn_refused(host: &dyn Host) {
    for (path, e) in host.refused() {
        let text = format!("plugin `{}` is not used: {}", path.display(), e.text);
        warn_once(&text);
    }
}

/// Environment variables that look like settings and that nothing reads.
fn variables(warnings: &mut Warnings) {
    for (name, _) in std::env::vars() {
        if let Some(meant) = config::meant_variable(&name) {
            warnings.add(format!(
                "the environment variable `{name}` has no effect: a setting is `{meant}`, with two underscores between its parts"
            ));
        }
    }
}
