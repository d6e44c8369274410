//! `biorule import`: a configuration of another project as ours.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use crate::config::{self, Offline, Sources};
use crate::import::{Imported, bioflax, biopytorch, biotorch, softhebb};
use crate::text::print;
use crate::{Error, ExitCode, Result};

/// `biorule import …`
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  biorule import softhebb presets.json 4SoftHebbCnnCIFAR --dataset-unsup CIFAR10_1 --dataset-sup CIFAR10_50
  biorule import biotorch benchmark_configs/cifar10/le_net/adam/fa_adam.yaml > mine.toml
  biorule import biopytorch --layers 2 --p 8 --k 3 --Delta 0.34 --dropout 0.25
  biorule import bioflax --mode kp --weight_decay -0.001 --hidden_layers 500 500

The configuration goes to standard output; what has no counterpart is noted in it and on standard error.")]
pub enum ImportCommand {
    /// A network of SoftHebb's `presets.json`, as `multi_layer.py` trains it
    Softhebb(SofthebbArgs),
    /// A YAML file of BioTorch's benchmark
    Biotorch(FileArgs),
    /// A trial of BioPyTorch's experiment 03, by its flags and the parameters of its study
    Biopytorch(FlagArgs),
    /// The flags of bioflax's `run_train.py`
    Bioflax(FlagArgs),
}

/// `biorule import softhebb`
#[derive(Args, Debug)]
pub struct SofthebbArgs {
    /// The file with the presets
    file: PathBuf,
    /// Name of the network
    name: String,
    /// Data set of local phases, such as `CIFAR10_1`
    #[arg(long, default_value = "MNIST")]
    dataset_unsup: String,
    /// Data set of phases with labels and of the test, such as `CIFAR10_50`
    #[arg(long, default_value = "MNIST")]
    dataset_sup: String,
    /// `successive`, `consecutive` or `simultaneous`
    #[arg(long, default_value = "successive")]
    training_mode: String,
    /// Numbers of the blocks that are trained; absent: all
    #[arg(long, num_args = 1..)]
    training_blocks: Vec<u64>,
    /// Seed; absent: that of the data set
    #[arg(long)]
    seed: Option<u64>,
    /// Hold samples back for validation
    #[arg(long)]
    validation: bool,
}

/// `biorule import biotorch`
#[derive(Args, Debug)]
pub struct FileArgs {
    /// The file
    file: PathBuf,
}

/// Flags of another program, as they are.
#[derive(Args, Debug)]
pub struct FlagArgs {
    /// Its flags and their values
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    flags: Vec<String>,
}

/// Runs the command.
pub(super) fn run(command: &ImportCommand) -> Result<()> {
    let imported = match command {
        ImportCommand::Softhebb(args) => {
            let call = softhebb::Call {
                preset: args.name.clone(),
                unsupervised: args.dataset_unsup.clone(),
                supervised: args.dataset_sup.clone(),
                mode: args.training_mode.clone(),
                blocks: args.training_blocks.clone(),
                seed: args.seed,
                validation: args.validation,
            };
            of_file(&args.file, |text| softhebb::import(text, &call))
        }
        ImportCommand::Biotorch(args) => of_file(&args.file, biotorch::import),
        ImportCommand::Biopytorch(args) => biopytorch::import(&args.flags),
        ImportCommand::Bioflax(args) => bioflax::import(&args.flags),
    }?;
    check(&imported)?;
    for note in &imported.notes {
        tell!("note: {note}");
    }
    print(&imported.text)
}

/// Bytes of a file at most.
const LARGEST: u64 = 16 << 20;

fn of_file(file: &Path, import: impl Fn(&str) -> Result<Imported>) -> Result<Imported> {
    let io = |e: std::io::Error| Error::io(ExitCode::Usage, file, &e);
    let mut text = String::new();
    let opened = std::fs::File::open(file).map_err(io)?;
    opened.take(LARGEST).read_to_string(&mut text).map_err(io)?;
    import(&text).map_err(|e| e.within(format!("`{}`", file.display())))
}

/// Refuses what would not resolve, before it is printed.
fn check(imported: &Imported) -> Result<()> {
    // Texts of the program itself live as long as it does, and this one is the last thing it reads.
    let text: &'static str = Box::leak(imported.text.clone().into_boxed_str());
    let sources = Sources {
        embedded: vec![("imported", text)],
        ..Sources::default()
    };
    config::resolve(&sources, &Offline).map(|_| ())
}
