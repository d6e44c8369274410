//! Settings of training: phases, their short form, optimisers, schedules.

use super::setting::{Kind, SectionDoc, Setting};

const DATA: Setting = Setting::new(
    "data",
    Kind::Text,
    "\"train\"",
    "`train`, or a name in `data.parts` or `extra_data`",
);
const SHUFFLE: Setting = Setting::new("shuffle", Kind::Flag, "true", "new order each epoch");
const DROP_LAST: Setting = Setting::new(
    "drop_last",
    Kind::Flag,
    "false",
    "leave out a last, smaller batch",
);
const LOSS: Setting = Setting::new(
    "loss",
    Kind::Choice(&["cross-entropy", "mse"]),
    "\"cross-entropy\"",
    "error at the output: softmax cross-entropy, or ½(y − t)² averaged over all elements",
);
const CLASS_WEIGHTS: Setting = Setting::new(
    "class_weights",
    Kind::WordOrNumbers("balanced"),
    "",
    "weight of each class in the cross-entropy, whose mean is then over the weights: one number for each class, or `balanced` for the inverse of the class's share of the training samples; in effect in all losses of the phase, also those of evaluations; absent: all 1",
)
.min(0.0)
.source("PyTorch `CrossEntropyLoss(weight=)`");
const LABEL_SMOOTHING: Setting = Setting::new(
    "label_smoothing",
    Kind::Number,
    "0.0",
    "share of the target that is spread evenly over all classes, in the cross-entropy that drives the phase; evaluations compare with the labels as they are",
)
.range(0.0, 1.0)
.source("PyTorch `CrossEntropyLoss(label_smoothing=)`");
const OPTIMIZER: Setting = Setting::new(
    "optimizer",
    Kind::Table("phases[].optimizer"),
    "\"adam\"",
    "changes parameters from gradients",
);
const SCHEDULE: Setting = Setting::new(
    "schedule",
    Kind::Table("phases[].schedule"),
    "\"constant\"",
    "how the optimiser's rate moves over the epochs",
);
const WARMUP_EPOCHS: Setting = Setting::new(
    "warmup_epochs",
    Kind::Whole,
    "0",
    "linear rise of the learning rate, by epoch: the first of N epochs has 1/N of the optimiser's `lr`, the N-th all of it; then the schedule goes on as if it had been in effect from the start",
)
.unit("epochs")
.source("Goyal et al. 2017; EG-NAS");
const WARMUP_STEPS: Setting = Setting::new(
    "warmup_steps",
    Kind::Whole,
    "0",
    "the same by step, in place of `warmup_epochs`",
)
.unit("steps");
const LOCAL_RATE: Setting = Setting::new(
    "local_rate",
    Kind::Table("phases[].local_rate"),
    "",
    "rate handed to local rules in place of their own `lr`; absent: their own",
);
const STOP: Setting = Setting::new(
    "stop",
    Kind::Table("phases[].stop"),
    "",
    "ends the phase before `epochs`; absent: never",
);
const CLIP: Setting = Setting::new(
    "gradient_clip",
    Kind::NumberOr("norm"),
    "0.0",
    "clip every gradient element to ± this; `{ norm = 5.0 }` scales all gradients of a step so that their Euclidean norm together is at most 5; 0 is off",
)
.min(0.0)
.source("PyTorch `clip_grad_value_`, `clip_grad_norm_`");
const GROUPS: Setting = Setting::new(
    "groups",
    Kind::Tables("phases[].groups[]"),
    "",
    "tensors with an optimiser of their own; the first group that takes a tensor has it, all others have `optimizer`",
)
.source("PyTorch parameter groups");
const NEURON_LABELS: Setting = Setting::new(
    "neuron_labels",
    Kind::Flag,
    "false",
    "local phases that end in a dense layer: give each unit the class that it wins most often, and report the share of winners with the right class; when evaluating, and after the last epoch",
)
.source("SoftHebb engine.py");
const CACHE: Setting = Setting::new(
    "cache",
    Kind::Table("phases[].cache"),
    "true",
    "keep the frozen prefix's output instead of computing it each epoch; true or false for short",
);

const fn epochs(default: &'static str) -> Setting {
    Setting::new(
        "epochs",
        Kind::Whole,
        default,
        "passes over the data; 0 goes on until `stop` says so",
    )
}
const fn batch(default: &'static str) -> Setting {
    Setting::new("batch", Kind::Whole, default, "samples per step").min(1.0)
}
const fn evaluate(default: &'static str) -> Setting {
    Setting::new(
        "evaluate_every",
        Kind::Whole,
        default,
        "evaluate every so many epochs and after the last; 0 never",
    )
    .unit("epochs")
}
const fn augment(default: &'static str) -> Setting {
    Setting::new(
        "augment",
        Kind::Flag,
        default,
        "augment the samples as `data` says",
    )
}

/// The settings of one phase.
pub const PHASE: &[Setting] = &[
    Setting::new("name", Kind::Text, "", "unique among the phases"),
    Setting::new(
        "blocks",
        Kind::Texts,
        "",
        "names of the blocks that learn; all others are frozen, in evaluation mode",
    ),
    Setting::new(
        "drive",
        Kind::Choice(&["local", "gradient", "both"]),
        "",
        "what drives them: their own activity, the loss, or both in each step",
    ),
    DATA,
    epochs("1"),
    batch("64"),
    SHUFFLE,
    DROP_LAST,
    augment("false"),
    evaluate("1"),
    LOSS,
    CLASS_WEIGHTS,
    LABEL_SMOOTHING,
    OPTIMIZER,
    GROUPS,
    SCHEDULE,
    WARMUP_EPOCHS,
    WARMUP_STEPS,
    LOCAL_RATE,
    STOP,
    NEURON_LABELS,
    CLIP,
    CACHE,
];

/// The settings of `training`.
pub const TRAINING: &[Setting] = &[
    Setting::new(
        "mode",
        Kind::Choice(&["successive", "consecutive", "simultaneous", "end-to-end"]),
        "",
        "one phase per block; all local blocks, then all gradient blocks; all blocks in one phase; one gradient phase. Absent: successive where a rule is local, else end-to-end",
    )
    .source("SoftHebb training modes"),
    Setting::new(
        "local",
        Kind::Table("training.local"),
        "",
        "phases whose rules learn from their own activity",
    ),
    Setting::new(
        "gradient",
        Kind::Table("training.gradient"),
        "",
        "phases whose rules learn from the loss",
    ),
];

/// The settings of `training.local`.
pub const LOCAL: &[Setting] = &[
    DATA,
    epochs("1"),
    batch("10"),
    SHUFFLE,
    DROP_LAST,
    augment("false"),
    evaluate("0"),
    LOCAL_RATE,
    STOP,
    NEURON_LABELS,
    CACHE,
];

/// The settings of `training.gradient`.
pub const GRADIENT: &[Setting] = &[
    DATA,
    epochs("10"),
    batch("64"),
    SHUFFLE,
    DROP_LAST,
    augment("false"),
    evaluate("1"),
    LOSS,
    CLASS_WEIGHTS,
    LABEL_SMOOTHING,
    OPTIMIZER,
    GROUPS,
    SCHEDULE,
    WARMUP_EPOCHS,
    WARMUP_STEPS,
    STOP,
    CLIP,
    CACHE,
];

const KIND_OPTIMIZER: Setting = Setting::new(
    "kind",
    Kind::Choice(&["sgd", "adam"]),
    "",
    "which optimiser",
);
const WEIGHT_DECAY: Setting = Setting::new(
    "weight_decay",
    Kind::Number,
    "0.0",
    "added to the gradient as decay · p",
)
.min(0.0)
.source("PyTorch");
const DECOUPLED: Setting = Setting::new(
    "decoupled_decay",
    Kind::Number,
    "0.0",
    "with the step p ← p − decay · p, not scaled by the rate; below 0 all grows, as under a positive `weight_decay` of bioflax",
)
.source("bioflax");

/// Stochastic gradient descent.
pub const SGD: &[Setting] = &[
    KIND_OPTIMIZER,
    Setting::new("lr", Kind::Number, "0.01", "rate").min(0.0),
    Setting::new(
        "momentum",
        Kind::Number,
        "0.0",
        "share of the former velocity",
    )
    .range(0.0, 1.0),
    WEIGHT_DECAY,
    DECOUPLED,
];
/// Adam.
pub const ADAM: &[Setting] = &[
    KIND_OPTIMIZER,
    Setting::new("lr", Kind::Number, "0.001", "rate")
        .min(0.0)
        .source("SoftHebb `lr_sup`"),
    Setting::new(
        "betas",
        Kind::Numbers,
        "[0.9, 0.999]",
        "decay of the first and second moment",
    )
    .range(0.0, 0.999_999_9)
    .source("Kingma and Ba 2015"),
    Setting::new(
        "eps",
        Kind::Number,
        "1e-8",
        "added to the root of the second moment",
    )
    .min(0.0),
    WEIGHT_DECAY,
    DECOUPLED,
];

/// A group of tensors with an optimiser of its own.
pub const GROUP: &[Setting] = &[
    Setting::new(
        "prefixes",
        Kind::Texts,
        "[]",
        "beginnings of the names of its tensors, such as `blocks.head.`; empty: any",
    ),
    Setting::new(
        "roles",
        Kind::Texts,
        "[]",
        "what its tensors are: `weight` and `bias` of layers, `norm` (gain and shift), `feedback` that learns; empty: anything",
    ),
    Setting::new(
        "optimizer",
        Kind::Table("phases[].optimizer"),
        "",
        "changes them; `schedule` moves its learning rate as that of the phase",
    ),
];

const KIND_SCHEDULE: Setting = Setting::new(
    "kind",
    Kind::Choice(&[
        "constant",
        "steps",
        "exponential",
        "softhebb",
        "cosine",
        "linear",
        "formula",
    ]),
    "",
    "`softhebb`: halved at the thresholds its number of epochs gives",
);
/// Schedules without a parameter.
pub const SCHEDULE_PLAIN: &[Setting] = &[KIND_SCHEDULE];
/// Falls after listed epochs.
pub const SCHEDULE_STEPS: &[Setting] = &[
    KIND_SCHEDULE,
    Setting::new(
        "epochs",
        Kind::Wholes,
        "",
        "`steps`: finished epochs after which the rate falls",
    ),
    Setting::new("gamma", Kind::Number, "0.5", "`steps`: factor").range(0.0, 1.0),
];
/// Half a cosine.
pub const SCHEDULE_COSINE: &[Setting] = &[
    KIND_SCHEDULE,
    Setting::new("floor", Kind::Number, "0.0", "`cosine`: last rate").min(0.0),
];
/// A straight line.
pub const SCHEDULE_LINEAR: &[Setting] = &[
    KIND_SCHEDULE,
    Setting::new(
        "floor",
        Kind::Number,
        "0.0",
        "`linear`: learning rate at the end of the last epoch",
    )
    .min(0.0),
];
/// Falls after every epoch.
pub const SCHEDULE_EXPONENTIAL: &[Setting] = &[
    KIND_SCHEDULE,
    Setting::new(
        "gamma",
        Kind::Number,
        "",
        "`exponential`: factor after each epoch",
    )
    .range(0.0, 1.0)
    .source("PyTorch ExponentialLR; DARTS on ImageNet: 0.97"),
];
/// A formula.
pub const SCHEDULE_FORMULA: &[Setting] = &[
    KIND_SCHEDULE,
    Setting::new(
        "factor",
        Kind::Formula,
        "",
        "`formula`: factor on the optimiser's `lr` at each batch",
    )
    .source("PyTorch LambdaLR"),
];

const KIND_RATE: Setting = Setting::new(
    "kind",
    Kind::Choice(&["constant", "exponential", "linear", "formula"]),
    "",
    "how the rate moves",
);
/// A constant local rate.
pub const RATE_CONSTANT: &[Setting] = &[
    KIND_RATE,
    Setting::new("value", Kind::Number, "", "`constant`: the rate").min(0.0),
];
/// A local rate by formula.
pub const RATE_FORMULA: &[Setting] = &[
    KIND_RATE,
    Setting::new(
        "value",
        Kind::Formula,
        "",
        "`formula`: the rate at each batch, such as `\"0.02/(1+b)\"`",
    )
    .source("BioPyTorch"),
];
/// An exponential local rate.
pub const RATE_EXPONENTIAL: &[Setting] = &[
    KIND_RATE,
    Setting::new("start", Kind::Number, "", "first rate").min(0.0),
    Setting::new("end", Kind::Number, "", "`exponential`: limit").min(0.0),
    Setting::new("speed", Kind::Number, "", "`exponential`: speed")
        .min(0.0)
        .unit("1/epoch")
        .source("BioPyTorch"),
];
/// A linear local rate.
pub const RATE_LINEAR: &[Setting] = &[
    KIND_RATE,
    Setting::new("start", Kind::Number, "", "first rate")
        .min(0.0)
        .source("Krotov and Hopfield 2019"),
];
/// Stopping early.
pub const STOP_RULE: &[Setting] = &[
    Setting::new(
        "metric",
        Kind::Text,
        "\"convergence\"",
        "what decides: `train/loss`, `train/accuracy`, `validation/loss`, `validation/accuracy`, `validation/balanced_accuracy` (without `data.validation`: `test/…`), or a metric reported by the rules, of which the largest over the phase's layers counts (`block/metric`: of one layer)",
    ),
    Setting::new(
        "threshold",
        Kind::Number,
        "",
        "stop when the metric is this good; one of rules when it is below after the last batch of an epoch",
    ),
    Setting::new(
        "patience",
        Kind::Number,
        "",
        "stop when the metric has not become better for this many evaluations (`train/…`: epochs); one of rules for this many epochs' worth of batches",
    )
    .min(0.0),
    Setting::new(
        "mode",
        Kind::Choice(&["min", "max"]),
        "",
        "which way the metric gets better; absent: accuracies up, everything else down",
    ),
    Setting::new(
        "min_delta",
        Kind::Number,
        "",
        "smaller gains do not count as better; absent: any gain does, and of a metric of rules also an equal value",
    )
    .min(0.0),
];
/// Keeping a frozen prefix's output.
pub const CACHE_PLAN: &[Setting] = &[
    Setting::new(
        "enabled",
        Kind::Flag,
        "true",
        "off recomputes the prefix each epoch",
    ),
    Setting::new(
        "memory_limit",
        Kind::Whole,
        "8589934592",
        "past this the features go to a memory-mapped file in the run folder",
    )
    .unit("bytes"),
    Setting::new(
        "store",
        Kind::Choice(&["exact", "bf16"]),
        "\"exact\"",
        "precision the features are kept in; `exact` keeps results bit-identical to no cache",
    ),
];

/// Sections of this file.
pub(super) fn sections() -> Vec<SectionDoc> {
    let section = |place, doc, settings| SectionDoc {
        place,
        doc,
        settings,
    };
    vec![
        section("training", "Short form of `phases`.", TRAINING),
        section("training.local", "Phases of local rules.", LOCAL),
        section(
            "training.gradient",
            "Phases of error-driven rules.",
            GRADIENT,
        ),
        section("phases[]", "One stretch of training.", PHASE),
        section("phases[].optimizer (sgd)", "v ← μ v + g; p ← p − η v.", SGD),
        section(
            "phases[].optimizer (adam)",
            "Adam with bias correction.",
            ADAM,
        ),
        section(
            "phases[].groups[]",
            "Tensors with an optimiser of their own.",
            GROUP,
        ),
        section(
            "phases[].schedule (steps)",
            "`constant` and `softhebb` take nothing.",
            SCHEDULE_STEPS,
        ),
        section(
            "phases[].schedule (cosine)",
            "Half a cosine.",
            SCHEDULE_COSINE,
        ),
        section(
            "phases[].schedule (linear)",
            "lr + (floor − lr)·epoch/epochs.",
            SCHEDULE_LINEAR,
        ),
        section(
            "phases[].schedule (exponential)",
            "lr·gamma^epoch.",
            SCHEDULE_EXPONENTIAL,
        ),
        section(
            "phases[].schedule (formula)",
            "A text with a digit or an operator alone means this: `schedule = \"0.97^epoch\"`. Variables: `b` (batches that the phase has seen), `step` (batches that the epoch has seen), `epoch` (finished epochs), `steps` (batches in an epoch), `epochs`. Operators: `+ - * / // % ^ **` and parentheses. Functions: `exp`, `log`, `log2`, `log10`, `sqrt`, `sin`, `cos`, `tan`, `tanh`, `abs`, `floor`, `ceil`, `min`, `max`, `pow`; constants `pi` and `e`. A value that is below 0, infinite or not a number at any batch is refused before training. For rates of its own instead of a factor, set `lr = 1`.",
            SCHEDULE_FORMULA,
        ),
        section(
            "phases[].local_rate (constant)",
            "A number alone means this.",
            RATE_CONSTANT,
        ),
        section(
            "phases[].local_rate (exponential)",
            "end − (end − start)·exp(−speed·b/B) at batch b, B batches an epoch.",
            RATE_EXPONENTIAL,
        ),
        section(
            "phases[].local_rate (linear)",
            "start·(1 − epoch/epochs).",
            RATE_LINEAR,
        ),
        section(
            "phases[].local_rate (formula)",
            "A text alone means this: `local_rate = \"0.02/(1+b)\"`. Variables, operators and functions are those of a schedule by formula.",
            RATE_FORMULA,
        ),
        section("phases[].stop", "Looked at after each epoch.", STOP_RULE),
        section(
            "phases[].cache",
            "Keeping the output of a frozen prefix.",
            CACHE_PLAN,
        ),
    ]
}
