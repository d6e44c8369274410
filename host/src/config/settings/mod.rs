//! Every setting, defined once: key, kind, default, range, unit, one line and
//! source. The reader takes defaults and ranges from here, unknown keys are
//! refused against it, and `docs/configuration.md` is printed from it.

mod data;
mod network;
mod search;
mod training;

pub use crate::plan::setting::{Kind, SectionDoc, Setting, base};
pub use data::*;
pub use network::*;
pub use search::*;
pub use training::*;

use crate::plan::define::{Described, Field};
use crate::plan::{ExperimentPlan, OutputPlan, Precision, PublishedPlan};

/// The settings at the top of a configuration.
pub const TOP: &[Setting] = &[
    Setting::new(
        "name",
        Kind::Text,
        "",
        "name of the experiment and of its folder under `output.runs`; absent: the last file's name",
    ),
    Setting::new(
        "experiment",
        Kind::Table("experiment"),
        "",
        "where it comes from and what was published of it; decides no result",
    ),
    Setting::new(
        "preset",
        Kind::Texts,
        "",
        "presets laid under this configuration, later ones on top (`biorule config presets` lists them)",
    ),
    Setting::new(
        "seed",
        Kind::Whole,
        "",
        "one seed; the same as `seeds = [seed]`",
    ),
    Setting::new("seeds", Kind::Wholes, "[0]", "seeds; one run for each"),
    Setting::new(
        "device",
        Kind::Text,
        "\"auto\"",
        "`auto` (a GPU where one can be used), `cpu`, `cuda` or `cuda:N`",
    ),
    Setting::new(
        "dtype",
        Precision::KIND,
        "\"f32\"",
        "arithmetic of weights and activations",
    ),
    Setting::new(
        "tf32",
        Kind::Flag,
        "false",
        "TF32 matrix products on CUDA; changes results at the 1e-3 level",
    ),
    Setting::new(
        "gpu_memory_share",
        Kind::Number,
        "0.5",
        "share of the GPU's free memory for data sets and cached features; what does not fit there stays in the machine's memory. Changes no result",
    )
    .range(0.0, 1.0),
    Setting::new(
        "threads",
        Kind::Whole,
        "0",
        "threads of kernels; 0 takes `RAYON_NUM_THREADS` or the cores there are. Changes no result, so a resumed run may differ here",
    )
    .range(0.0, 1024.0),
    Setting::new(
        "data",
        Kind::Table("data"),
        "\"digits\"",
        "the data set and what is done to it; a word alone is `data.set`",
    ),
    Setting::new(
        "extra_data",
        Kind::Table("data"),
        "",
        "further data sets by name, for phases that learn from another one",
    ),
    Setting::new(
        "blocks",
        Kind::Tables("blocks[]"),
        "",
        "the network, input first; in a later layer a table `[blocks.NAME]` changes one block",
    ),
    Setting::new(
        "network",
        Kind::Table("network"),
        "",
        "a network of searched cells, in place of `blocks`",
    ),
    Setting::new(
        "search",
        Kind::Table("search"),
        "",
        "a search for the genotype of `network` (`biorule search`)",
    ),
    Setting::new(
        "rule",
        Kind::Table("blocks[].rule"),
        "",
        "the rule of every layer that names none itself",
    ),
    Setting::new(
        "init_from",
        Kind::Text,
        "",
        "a run's folder, or a safetensors, `.npz` or `.pt` file whose weights, rule state and running statistics the network starts with, by names of blocks and tensors; an optimiser starts anew. Absent: random weights",
    ),
    Setting::new(
        "init_blocks",
        Kind::Texts,
        "",
        "with `init_from`: take over only these blocks; a table `{ conv1 = \"name in the file\" }` also renames. Absent: every block that is in the file; a read-out of another size is new",
    ),
    Setting::new(
        "training",
        Kind::Table("training"),
        "",
        "short form of `phases`: a mode, and the settings of local and of gradient phases",
    ),
    Setting::new(
        "phases",
        Kind::Tables("phases[]"),
        "",
        "what is trained, in order; replaces `training`",
    ),
    Setting::new(
        "output",
        Kind::Table("output"),
        "",
        "what is written, and how often",
    ),
    Setting::new(
        "plugin_folders",
        Kind::Texts,
        "[]",
        "folders with rule plugins, searched before `BIORULE_PLUGIN_PATH` and the program's own folder",
    ),
    Setting::new(
        "baselines",
        Kind::Texts,
        "[]",
        "trained after the phases for comparison: `random-weights` (the same network with its initial weights; of its layers only the last, the read-out, is trained, as the phases that list it and learn from the loss say), `linear-pixels` (a linear classifier on the input, trained as the last of these phases says)",
    ),
];

/// Every section, in the order of the reference page.
#[must_use]
pub fn sections() -> Vec<SectionDoc> {
    let mut all = vec![SectionDoc {
        place: "(top)",
        doc: "An experiment.",
        settings: TOP,
    }];
    all.push(SectionDoc {
        place: "experiment",
        doc: "Where an experiment comes from, what was published of it and what it takes: for `biorule experiments`, `run.json` and `biorule runs show`. None of it decides results, so a resumed run may differ here.",
        settings: ExperimentPlan::SETTINGS,
    });
    all.push(SectionDoc {
        place: "experiment.published",
        doc: "Results that the source gives; accuracies from 0 to 1, as everywhere here.",
        settings: PublishedPlan::SETTINGS,
    });
    all.extend(data::sections());
    all.extend(network::sections());
    all.extend(search::sections());
    all.extend(training::sections());
    all.push(SectionDoc {
        place: "output",
        doc: "What is written, and how often. None of it changes results, so a resumed run may differ here.",
        settings: OutputPlan::SETTINGS,
    });
    all
}
