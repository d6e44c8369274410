//! Every setting and its reader.

use super::reader::{Place, Reader};
use super::unread as why;

const fn always(key: &'static str, by: &'static str) -> Reader {
    Reader::always(key, by)
}

const EPOCH_END: &str = "the end of epochs";
const LAYERS: &str = "the layers of the configuration";
const DEVICE: &str = "the device";
const RUN: &str = "the run's folder";
const RECORD: &str = "`run.json`, `biorule experiments` and `biorule runs show`";
const LOAD: &str = "loading of data";
const LOADER: &str = "the loader of batches";
const AUGMENT: &str = "augmentation of training images";
const NETWORK: &str = "the network";
const SEARCH: &str = "`biorule search`";
const STEP: &str = "each training step";
const PHASES: &str = "the order of phases";
const DRIVES_BLOCK: &str = "a phase that is driven by the loss trains the block";
const LOSS_ONLY: &str = "phases with `drive = \"gradient\"` or `\"both\"`";
const AUGMENTED: &str = "phases on the set with `augment = true`";
const KEPT: &str = "the output of a frozen prefix is kept";
const FEATURES: &str = "cached features";

const TOP: &[Reader] = &[
    always("name", RUN),
    always("experiment", RECORD),
    always("preset", LAYERS),
    always("seed", LAYERS),
    always("seeds", "the runs of an experiment"),
    always("device", DEVICE),
    always("dtype", NETWORK),
    Reader::only("tf32", DEVICE, "on a GPU", why::on_cpu),
    Reader::only("gpu_memory_share", DEVICE, "on a GPU", why::on_cpu),
    always("threads", "kernels on the CPU"),
    always("data", LOAD),
    Reader::only("extra_data", LOAD, "a phase has it as its `data`", |_| {
        Ok(None)
    }),
    always("blocks", NETWORK),
    always("network", NETWORK),
    always("search", SEARCH),
    always("init_from", "the start of a run"),
    always(
        "init_blocks",
        "the start of a run; refused without `init_from`",
    ),
    Reader::only(
        "rule",
        NETWORK,
        "layers that name no rule themselves",
        why::rule_for_nobody,
    ),
    always("training", PHASES),
    always("phases", PHASES),
    always("output", RUN),
    always("plugin_folders", "the search for plugins"),
    Reader::only(
        "baselines",
        "the end of a run",
        "a phase is driven by the loss",
        why::baselines_without_loss,
    ),
];

const DATA: &[Reader] = &[
    always("set", LOAD),
    Reader::only("root", LOAD, "the set lies on disk", why::root_of_memory),
    always("validation", LOAD),
    Reader::only(
        "validation_part",
        LOAD,
        "in `data`; refused beside `validation`",
        why::parts_of_extra,
    ),
    Reader::only(
        "parts",
        LOAD,
        "in `data`; a phase has the part as its `data`",
        why::parts_of_extra,
    ),
    Reader::only(
        "parts_order",
        LOAD,
        "with `parts`",
        why::order_without_parts,
    ),
    Reader::only(
        "split_seed",
        LOAD,
        "with `validation`, `parts`, `limit_train` or `limit_test`",
        why::split_without_choice,
    ),
    always("limit_train", LOAD),
    Reader::only(
        "limit_test",
        "evaluation",
        "in `data`, not in `extra_data`",
        why::test_part_of_extra,
    ),
    Reader::only(
        "stratify",
        LOAD,
        "with `validation`, `limit_train` or `limit_test`, of classes",
        why::split_without_choice,
    ),
    always("classes", LOAD),
    always("normalize", LOAD),
    always("mean", "`normalize = \"standard\"`; refused without"),
    always("std", "`normalize = \"standard\"`; refused without"),
    always("whiten", LOAD),
    always("resize", LOAD),
    Reader::only(
        "resize_method",
        LOAD,
        "with `resize`",
        why::method_without_resize,
    ),
    Reader::only(
        "shuffle",
        LOADER,
        "phases on the set that do not set theirs",
        why::shuffle_overruled,
    ),
    Reader::only(
        "drop_last",
        LOADER,
        "phases on the set that do not set theirs",
        why::drop_last_overruled,
    ),
    always("threads", LOADER),
    Reader::only(
        "prefetch",
        LOADER,
        "`threads` is 1 or more",
        why::prefetch_without_threads,
    ),
    Reader::only("augment", AUGMENT, AUGMENTED, why::augment_without_phase),
    always(
        "options",
        "the maker of a generated set; refused for others",
    ),
];

/// Keys of all sets of one's own; each set refuses those of the others.
const DATA_OPTIONS: &[Reader] = &[
    always("files", LOAD),
    always("test", LOAD),
    always("stratify", LOAD),
    always("first_label", LOAD),
    always("num_classes", LOAD),
    always("channels", LOAD),
    always("broken", LOAD),
    always("layout", LOAD),
    always("task", LOAD),
    always("label", LOAD),
    always("header", LOAD),
    always("delimiter", LOAD),
    always("shape", LOAD),
];

const DATA_AUGMENT: &[Reader] = &[
    Reader::only("flip", AUGMENT, AUGMENTED, why::augment_without_phase),
    Reader::only("crop", AUGMENT, AUGMENTED, why::augment_without_phase),
    Reader::only(
        "padding",
        AUGMENT,
        "the same, with `crop` above 0",
        why::padding_without_crop,
    ),
    Reader::only("noise", AUGMENT, AUGMENTED, why::augment_without_phase),
    Reader::only(
        "resized_crop",
        AUGMENT,
        AUGMENTED,
        why::augment_without_phase,
    ),
    Reader::only("cutout", AUGMENT, AUGMENTED, why::augment_without_phase),
];

const CELLS: &[Reader] = &[
    always("genotype", NETWORK),
    always("channels", NETWORK),
    always("cells", NETWORK),
    always("stem", NETWORK),
    always("rule_scope", NETWORK),
    always("rule", "`rule_scope` `all` or `one`; refused without"),
    always("auxiliary", STEP),
    always("drop_path", STEP),
    Reader::only(
        "drop_path_ramp",
        STEP,
        "`drop_path` is above 0",
        why::ramp_without_drop_path,
    ),
];

const SEARCHED: &[Reader] = &[
    always("space", SEARCH),
    always("strategy", SEARCH),
    always("objectives", SEARCH),
    always("bounds", SEARCH),
    always("evaluator", SEARCH),
    always("robustness", "the objective `robustness`; refused without"),
    always("supernet", "strategies that train one; refused with others"),
    always("final", "the end of a search"),
    always("rank", "the end of a search"),
];

const SPACE: &[Reader] = &[
    always("name", SEARCH),
    always("operations", "spaces without a name; refused with one"),
    always("rules", "spaces without a name; refused with one"),
    always("network", "spaces without a name; refused with one"),
    always("params", SEARCH),
    always("exclude", SEARCH),
    always("nodes", SEARCH),
];

/// Keys of all strategies; each refuses those of the others.
const STRATEGY: &[Reader] = &[
    always("kind", SEARCH),
    always("evaluations", SEARCH),
    always("population", SEARCH),
    always("sample", SEARCH),
    always("genotypes", SEARCH),
    always("keep", SEARCH),
    always("file", SEARCH),
    always("second_order", SEARCH),
    always("sigmoid", SEARCH),
    always("warmup_epochs", SEARCH),
    always("perturbation", SEARCH),
    always("stop_on_skips", SEARCH),
    always("auxiliary_skip", SEARCH),
    always("zero_one", SEARCH),
    always("variant", SEARCH),
    always("rounds", SEARCH),
    always("individuals", SEARCH),
    always("generations", SEARCH),
    always("similarity", SEARCH),
    always("step_size", SEARCH),
    always("direction_momentum", SEARCH),
    always("running_statistics", SEARCH),
    always("hot", SEARCH),
    always("cold", SEARCH),
];

const SUPERNET: &[Reader] = &[
    always("channels", SEARCH),
    always("cells", SEARCH),
    always("epochs", SEARCH),
    always("batch", SEARCH),
    always("weights", SEARCH),
    always("architecture", SEARCH),
    always("lr", SEARCH),
    always("lr_floor", SEARCH),
    always("momentum", SEARCH),
    always("weight_decay", SEARCH),
    always("clip", SEARCH),
    always("architecture_lr", SEARCH),
    always("architecture_decay", SEARCH),
    always("partial", SEARCH),
    always("edge_weights", SEARCH),
    always("max_skips", SEARCH),
    always("discretise", SEARCH),
    always("tune_epochs", "`discretise = \"perturbation\"`"),
    always("recompute", SEARCH),
];

const BOUNDS: &[Reader] = &[
    always("accuracy", SEARCH),
    always("robustness", SEARCH),
    always("parameters", SEARCH),
    always("multiply_adds", SEARCH),
];

const ROBUSTNESS: &[Reader] = &[
    always("method", SEARCH),
    always("strength", SEARCH),
    always("norm", "`method` other than `tpgd`; refused with it"),
    always("steps", "`method` other than `fgsm`; refused with it"),
    always(
        "step_size",
        "`method = \"pgd\"` and `\"tpgd\"`; refused without",
    ),
    always("random_start", "`method = \"pgd\"`; refused without"),
    always("gradient", SEARCH),
    always("images", SEARCH),
];

const EVALUATOR: &[Reader] = &[
    always("kind", SEARCH),
    always("file", "`kind = \"table\"`; refused without"),
    always("of", "`kind = \"proxy\"`; refused without"),
    always("run", "`kind = \"supernet\"`; refused without"),
    always("statistics", "`kind = \"supernet\"`; refused without"),
];

const RANK: &[Reader] = &[
    always("by", "the end of a search"),
    always("supernet", "values inside a supernet; refused without"),
];

const FINAL: &[Reader] = &[
    always("epochs", "the end of a search"),
    always("random", "the end of a search"),
    always("random_rules", "the end of a search"),
];

const BLOCK: &[Reader] = &[
    always("name", NETWORK),
    always("norm", NETWORK),
    always("flatten", NETWORK),
    always("divide_by_max", NETWORK),
    always("unit_length", NETWORK),
    Reader::only("dropout", STEP, "a phase trains the block", why::untrained),
    always("layer", NETWORK),
    always("out", "the layer; refused without one"),
    always("bias", "the layer; refused without one"),
    always("rule", "the layer; refused without one"),
    always("kernel", "convolutions; refused elsewhere"),
    always("stride", "convolutions; refused elsewhere"),
    always("padding", "convolutions; refused elsewhere"),
    Reader::only(
        "dilation",
        "convolutions; refused elsewhere",
        "the kernel is larger than one pixel",
        why::dilation_of_points,
    ),
    always("groups", "convolutions; refused elsewhere"),
    Reader::only(
        "padding_mode",
        "convolutions; refused elsewhere",
        "with `padding`",
        why::mode_without_padding,
    ),
    always("norm_inner", NETWORK),
    always("activation", NETWORK),
    always("norm_after", NETWORK),
    always("pool", NETWORK),
    always("transform", NETWORK),
    always("residual", NETWORK),
    always("graph", NETWORK),
    Reader::only("side", STEP, DRIVES_BLOCK, why::head_without_loss),
    Reader::only("recompute", STEP, DRIVES_BLOCK, why::recompute_without_loss),
];

const NORM: &[Reader] = &[
    always("kind", NETWORK),
    Reader::only(
        "affine",
        "the optimiser",
        "a phase that is driven by the loss trains the block",
        why::affine_without_gradient,
    ),
    always("eps", NETWORK),
    Reader::only("momentum", STEP, "a phase trains the block", why::untrained),
];

const RULE: &[Reader] = &[always(
    "name",
    "the layer; the other keys are read by the rule, its `lr` where no `local_rate` takes its place, others where its mode and its layer ask for them (`rules describe`)",
)];

const ACTIVATION: &[Reader] = &[
    always("kind", NETWORK),
    always("power", NETWORK),
    always("gain", NETWORK),
];

const POOL: &[Reader] = &[
    always("kind", NETWORK),
    always("kernel", NETWORK),
    Reader::only(
        "stride",
        NETWORK,
        "the window does not cover the whole map",
        why::stride_of_global_pool,
    ),
    Reader::only(
        "padding",
        NETWORK,
        "the window does not cover the whole map",
        why::padding_of_global_pool,
    ),
    Reader::only(
        "count_include_pad",
        NETWORK,
        "`avg` with `padding`",
        why::nothing_to_count,
    ),
];

const RESIDUAL: &[Reader] = &[always("blocks", NETWORK), always("shortcut", NETWORK)];

const NODE: &[Reader] = &[
    always("name", NETWORK),
    always("join", NETWORK),
    always("from", NETWORK),
];

const EDGE: &[Reader] = &[
    always("source", NETWORK),
    always("blocks", NETWORK),
    Reader::only(
        "drop_path",
        STEP,
        "a phase trains the block",
        why::drop_path_untrained,
    ),
];

const TRANSFORM: &[Reader] = &[
    always("kind", NETWORK),
    always("stride", "`zero`; refused for `shift`"),
    always("by", "`shift`; refused for `zero`"),
];

const SIDE: &[Reader] = &[
    Reader::only("weight", STEP, DRIVES_BLOCK, why::head_without_loss),
    Reader::only("blocks", STEP, DRIVES_BLOCK, why::head_without_loss),
];

const DROP_PATH: &[Reader] = &[always("p", STEP), always("ramp", STEP)];

const TRAINING: &[Reader] = &[
    always("mode", PHASES),
    Reader::only("local", PHASES, "a layer has a local rule", |_| Ok(None)),
    Reader::only("gradient", PHASES, "a phase is driven by the loss", |_| {
        Ok(None)
    }),
];

const LOCAL: &[Reader] = &[
    always("data", LOADER),
    always("epochs", PHASES),
    always("batch", LOADER),
    always("shuffle", LOADER),
    always("seed", LOADER),
    always("drop_last", LOADER),
    AUGMENT_FLAG,
    EVALUATE_EVERY,
    LOCAL_RATE,
    STOP_EARLY,
    NEURON_LABELS,
    always("cache", FEATURES),
];

const GRADIENT: &[Reader] = &[
    always("data", LOADER),
    always("epochs", PHASES),
    always("batch", LOADER),
    always("shuffle", LOADER),
    always("seed", LOADER),
    always("drop_last", LOADER),
    AUGMENT_FLAG,
    EVALUATE_EVERY,
    LOSS,
    OPTIMIZER_TABLE,
    GROUPS,
    SCHEDULE,
    WARMUP_EPOCHS,
    WARMUP_STEPS,
    GRADIENT_CLIP,
    CLASS_WEIGHTS,
    LABEL_SMOOTHING,
    STOP_EARLY,
    always("cache", FEATURES),
];

const EVALUATE_EVERY: Reader = always("evaluate_every", EPOCH_END);
const STOP_EARLY: Reader = always("stop", EPOCH_END);
const OPTIMIZER_TABLE: Reader = Reader::only("optimizer", STEP, LOSS_ONLY, why::not_driven);
const GROUPS: Reader = Reader::only("groups", STEP, LOSS_ONLY, why::not_driven);
const GRADIENT_CLIP: Reader = Reader::only("gradient_clip", STEP, LOSS_ONLY, why::not_driven);
const CLASS_WEIGHTS: Reader = always("class_weights", "the loss; refused in local phases");
const LABEL_SMOOTHING: Reader = always("label_smoothing", "the loss; refused in local phases");
/// Warned about with the set it belongs to.
const AUGMENT_FLAG: Reader =
    Reader::only("augment", LOADER, "the set has an `augment`", |_| Ok(None));
const LOSS: Reader = Reader::only(
    "loss",
    "each training step, and evaluation",
    "the phase is driven by the loss, evaluated, or the last",
    why::loss_without_look,
);
const SCHEDULE: Reader = Reader::only(
    "schedule",
    STEP,
    "the phase is driven by the loss and long enough for a change",
    why::schedule_without_change,
);
const WARMUP_EPOCHS: Reader =
    Reader::only("warmup_epochs", STEP, LOSS_ONLY, why::warm_up_without_end);
const WARMUP_STEPS: Reader = Reader::only("warmup_steps", STEP, LOSS_ONLY, why::not_driven);
const LOCAL_RATE: Reader = Reader::only(
    "local_rate",
    STEP,
    "a local rule learns in the phase",
    why::no_local_rule,
);
const NEURON_LABELS: Reader = Reader::only(
    "neuron_labels",
    EPOCH_END,
    "local phases that end in a dense layer",
    why::no_neurons,
);

const PHASE: &[Reader] = &[
    always("name", RUN),
    always("blocks", STEP),
    always("drive", STEP),
    always("data", LOADER),
    always("epochs", PHASES),
    always("batch", LOADER),
    always("shuffle", LOADER),
    always("seed", LOADER),
    always("drop_last", LOADER),
    AUGMENT_FLAG,
    EVALUATE_EVERY,
    LOSS,
    OPTIMIZER_TABLE,
    GROUPS,
    SCHEDULE,
    WARMUP_EPOCHS,
    WARMUP_STEPS,
    LOCAL_RATE,
    STOP_EARLY,
    NEURON_LABELS,
    GRADIENT_CLIP,
    CLASS_WEIGHTS,
    LABEL_SMOOTHING,
    always("cache", FEATURES),
];

const OPTIMIZER: &[Reader] = &[
    Reader::only("kind", STEP, LOSS_ONLY, why::not_driven),
    Reader::only("lr", STEP, LOSS_ONLY, why::not_driven),
    Reader::only("momentum", STEP, LOSS_ONLY, why::not_driven),
    Reader::only("betas", STEP, LOSS_ONLY, why::not_driven),
    Reader::only("eps", STEP, LOSS_ONLY, why::not_driven),
    Reader::only("weight_decay", STEP, LOSS_ONLY, why::not_driven),
    Reader::only("decoupled_decay", STEP, LOSS_ONLY, why::not_driven),
];

const GROUP: &[Reader] = &[
    Reader::only("prefixes", STEP, LOSS_ONLY, why::not_driven),
    Reader::only("roles", STEP, LOSS_ONLY, why::not_driven),
    Reader::only("optimizer", STEP, LOSS_ONLY, why::not_driven),
];

const SCHEDULES: &[Reader] = &[
    Reader::only("kind", STEP, "as `schedule`", why::schedule_without_change),
    Reader::only(
        "epochs",
        STEP,
        "as `schedule`; epochs that the phase reaches",
        why::steps_beyond,
    ),
    Reader::only("gamma", STEP, "as `schedule`", why::schedule_without_change),
    Reader::only("floor", STEP, "as `schedule`", why::schedule_without_change),
    Reader::only("factor", STEP, LOSS_ONLY, why::not_driven),
];

const LOCAL_RATES: &[Reader] = &[
    Reader::only("kind", STEP, "as `local_rate`", why::no_local_rule),
    Reader::only("value", STEP, "as `local_rate`", why::no_local_rule),
    Reader::only("start", STEP, "as `local_rate`", why::no_local_rule),
    Reader::only("end", STEP, "as `local_rate`", why::no_local_rule),
    Reader::only("speed", STEP, "as `local_rate`", why::no_local_rule),
];

const STOP: &[Reader] = &[
    always("metric", EPOCH_END),
    always("threshold", EPOCH_END),
    always("patience", EPOCH_END),
    always("mode", EPOCH_END),
    always("min_delta", EPOCH_END),
];

const CACHE: &[Reader] = &[
    always("enabled", FEATURES),
    Reader::only("memory_limit", FEATURES, KEPT, why::nothing_kept),
    Reader::only("store", FEATURES, KEPT, why::nothing_kept),
];

const EXPERIMENT: &[Reader] = &[
    always("source", RECORD),
    always("figure", RECORD),
    always("published", RECORD),
    always("expected_hours", RECORD),
    always("expected_on", RECORD),
    always("note", RECORD),
];

const PUBLISHED: &[Reader] = &[
    always("test_accuracy", RECORD),
    always("test_accuracy_deviation", RECORD),
    always("test_loss", RECORD),
    always("validation_accuracy", RECORD),
    always("parameters", RECORD),
];

const OUTPUT: &[Reader] = &[
    always("runs", "the run's folder; `--run-dir` takes its place"),
    always("checkpoint_seconds", "each training step"),
    always("log_every", "each training step"),
    always("tensorboard", "the run's folder"),
    always("pictures", "the end of the run"),
    always("best", EPOCH_END),
    Reader::only(
        "alignment_every",
        EPOCH_END,
        "phases that are driven by the loss and have as many epochs",
        why::no_alignment,
    ),
];

const fn place(place: &'static str, readers: &'static [Reader]) -> Place {
    Place { place, readers }
}

/// All settings, in the order of the reference.
pub const PLACES: &[Place] = &[
    place("(top)", TOP),
    place("experiment", EXPERIMENT),
    place("experiment.published", PUBLISHED),
    place("data", DATA),
    place("data.options", DATA_OPTIONS),
    place("data.augment", DATA_AUGMENT),
    place("blocks[]", BLOCK),
    place("blocks[].norm", NORM),
    place("blocks[].rule", RULE),
    place("blocks[].activation", ACTIVATION),
    place("blocks[].pool", POOL),
    place("blocks[].residual", RESIDUAL),
    place("blocks[].graph[]", NODE),
    place("blocks[].graph[].from[]", EDGE),
    place("blocks[].graph[].from[].drop_path", DROP_PATH),
    place("blocks[].transform", TRANSFORM),
    place("blocks[].side", SIDE),
    place("network", CELLS),
    place("search", SEARCHED),
    place("search.space", SPACE),
    place("search.strategy", STRATEGY),
    place("search.supernet", SUPERNET),
    place("search.bounds", BOUNDS),
    place("search.evaluator", EVALUATOR),
    place("search.robustness", ROBUSTNESS),
    place("search.final", FINAL),
    place("search.rank", RANK),
    place("training", TRAINING),
    place("training.local", LOCAL),
    place("training.gradient", GRADIENT),
    place("phases[]", PHASE),
    place("phases[].optimizer", OPTIMIZER),
    place("phases[].groups[]", GROUP),
    place("phases[].schedule", SCHEDULES),
    place("phases[].local_rate", LOCAL_RATES),
    place("phases[].stop", STOP),
    place("phases[].cache", CACHE),
    place("output", OUTPUT),
];
