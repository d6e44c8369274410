//! The conditions under which nothing reads a setting, each with its reason and what to do.

use config::{Value, ValueKind};

use super::super::context::Credit;
use super::super::plan::{
    BlockPlan, Drive, MapPlan, PhasePlan, PoolKind, RunPlan, SchedulePlan, Warmup,
};
use super::super::resolve::expand::Source;
use super::reader::Scene;
use crate::Result;
use crate::config::{Warnings, value};
use crate::data::DataPlan;
use crate::plan::ParamValue;
use crate::plan::rates::softhebb_thresholds;
use crate::plan::{PartsOrder, every_block};

/// What a condition finds.
type Why = Result<Option<String>>;

/// `Some(why)` where `ignored`.
fn because(ignored: bool, why: impl Into<String>) -> Why {
    Ok(ignored.then(|| why.into()))
}

// At the top.

/// Settings of GPUs.
pub(super) fn on_cpu(scene: &Scene<'_>) -> Why {
    let device = scene.plan.device.as_str();
    if device == "cpu" {
        return because(true, "the device is the CPU; set `device`, or remove it");
    }
    let without = device == "auto" && cfg!(not(feature = "cuda"));
    because(
        without,
        "this `biorule` was built without the `cuda` feature",
    )
}

pub(super) fn rule_for_nobody(scene: &Scene<'_>) -> Why {
    because(
        !scene.given.needs_rule,
        "every layer names a rule of its own",
    )
}

pub(super) fn baselines_without_loss(scene: &Scene<'_>) -> Why {
    let driven = scene.plan.phases.iter().any(|p| p.drive != Drive::Local);
    because(
        !driven,
        "no phase is driven by the loss, so there is no read-out training to copy",
    )
}

// Data.

pub(super) fn root_of_memory(scene: &Scene<'_>) -> Why {
    let in_memory = scene.set.is_some_and(|(_, set)| {
        let info = set.info();
        info.is_ok_and(|info| !info.is_on_disk() && !info.is_own())
    });
    because(
        in_memory,
        "the set is embedded or generated, not read from files",
    )
}

pub(super) fn split_without_choice(scene: &Scene<'_>) -> Why {
    let Some((name, set)) = scene.set else {
        return Ok(None);
    };
    let test = name == "train" && set.limit_test.is_some();
    let parts = name == "train" && !set.parts.is_empty() && set.parts_order == PartsOrder::Random;
    let chosen = set.validation > 0.0 || set.limit_train.is_some() || test || parts;
    because(
        !chosen,
        "no samples are chosen at random; set `validation`, `limit_train` or `limit_test`",
    )
}

pub(super) fn parts_of_extra(scene: &Scene<'_>) -> Why {
    because(
        scene.set.is_some_and(|(name, _)| name != "train"),
        "phases take parts of `data` alone; set `data.parts`",
    )
}

pub(super) fn order_without_parts(scene: &Scene<'_>) -> Why {
    because(
        scene.set.is_some_and(|(_, set)| set.parts.is_empty()),
        "there are no parts; set `parts`",
    )
}

pub(super) fn test_part_of_extra(scene: &Scene<'_>) -> Why {
    because(
        scene.set.is_some_and(|(name, _)| name != "train"),
        "evaluation takes the test samples of `data`; set `data.limit_test`",
    )
}

pub(super) fn method_without_resize(scene: &Scene<'_>) -> Why {
    because(
        scene.set.is_some_and(|(_, set)| set.resize.is_none()),
        "no other size is asked for; set `resize`",
    )
}

pub(super) fn prefetch_without_threads(scene: &Scene<'_>) -> Why {
    because(
        scene.set.is_some_and(|(_, set)| set.threads == 0),
        "`threads = 0` prepares batches in the training thread",
    )
}

/// Phases of the plan on the set of `scene`, or on a part of it.
fn on_set<'a>(scene: &Scene<'a>) -> impl Iterator<Item = &'a PhasePlan> {
    let (plan, name) = (scene.plan, scene.set.map_or("", |(name, _)| name));
    let of_main = move |p: &PhasePlan| name == "train" && plan.data.parts.contains_key(&p.data);
    plan.phases
        .iter()
        .filter(move |p| p.data == name || of_main(p))
}

fn overruled(scene: &Scene<'_>, differs: impl Fn(&PhasePlan, &DataPlan) -> bool) -> Why {
    let Some((_, set)) = scene.set else {
        return Ok(None);
    };
    because(
        on_set(scene).all(|phase| differs(phase, set)),
        "every phase on this set says otherwise; change the phases",
    )
}

pub(super) fn shuffle_overruled(scene: &Scene<'_>) -> Why {
    overruled(scene, |phase, set| phase.shuffle != set.shuffle)
}

pub(super) fn drop_last_overruled(scene: &Scene<'_>) -> Why {
    overruled(scene, |phase, set| phase.drop_last != set.drop_last)
}

pub(super) fn augment_without_phase(scene: &Scene<'_>) -> Why {
    because(
        !on_set(scene).any(|phase| phase.augment),
        "no phase on this set has `augment = true`; set it there (`training.gradient.augment=true`)",
    )
}

pub(super) fn padding_without_crop(scene: &Scene<'_>) -> Why {
    if scene.set.is_some_and(|(_, set)| set.augment.crop == 0) {
        return because(true, "nothing is padded without a `crop`");
    }
    augment_without_phase(scene)
}

// Blocks.

/// Phases that train the block of `scene`.
fn training<'a>(scene: &Scene<'a>) -> Vec<&'a PhasePlan> {
    let name = scene.block.map_or("", |block| block.name.as_str());
    let phases = scene.plan.phases.iter();
    phases.filter(|p| scene.plan.trains(p, name)).collect()
}

pub(super) fn untrained(scene: &Scene<'_>) -> Why {
    because(
        scene.block.is_some() && training(scene).is_empty(),
        "no phase trains this block, and evaluation does not use it",
    )
}

pub(super) fn affine_without_gradient(scene: &Scene<'_>) -> Why {
    let driven = training(scene).iter().any(|p| p.drive != Drive::Local);
    because(
        scene.block.is_some() && !driven,
        "no phase that is driven by the loss trains this block, so gain and shift stay 1 and 0",
    )
}

/// Whether no phase that is driven by the loss trains the block.
fn is_undriven(scene: &Scene<'_>) -> bool {
    scene.block.is_some() && !training(scene).iter().any(|p| p.drive != Drive::Local)
}

pub(super) fn head_without_loss(scene: &Scene<'_>) -> Why {
    because(
        is_undriven(scene),
        "no phase that is driven by the loss trains this block, so the head is never run",
    )
}

pub(super) fn recompute_without_loss(scene: &Scene<'_>) -> Why {
    because(
        is_undriven(scene),
        "no phase that is driven by the loss trains this block, so nothing of it is kept",
    )
}

pub(super) fn drop_path_untrained(scene: &Scene<'_>) -> Why {
    because(
        scene.block.is_some() && training(scene).is_empty(),
        "no phase trains this block, and evaluation drops nothing",
    )
}

pub(super) fn dilation_of_points(scene: &Scene<'_>) -> Why {
    let layer = scene.block.and_then(|block| block.layer.as_ref());
    because(
        matches!(
            layer.map(|l| &l.map),
            Some(MapPlan::Conv { kernel: [1, 1], dilation, .. }) if *dilation != [1, 1]
        ),
        "a kernel of one pixel has no steps in between",
    )
}

pub(super) fn mode_without_padding(scene: &Scene<'_>) -> Why {
    let layer = scene.block.and_then(|block| block.layer.as_ref());
    because(
        matches!(
            layer.map(|l| &l.map),
            Some(MapPlan::Conv {
                padding: [0, 0, 0, 0],
                ..
            })
        ),
        "nothing is padded; set `padding`",
    )
}

pub(super) fn stride_of_global_pool(scene: &Scene<'_>) -> Why {
    let pool = scene.block.and_then(|block| block.pool.as_ref());
    because(
        pool.is_some_and(|p| p.kernel == [0, 0] && p.stride != [1, 1]),
        "the window covers the whole map",
    )
}

pub(super) fn padding_of_global_pool(scene: &Scene<'_>) -> Why {
    let pool = scene.block.and_then(|block| block.pool.as_ref());
    because(
        pool.is_some_and(|p| p.kernel == [0, 0] && p.padding != [0, 0]),
        "the window covers the whole map",
    )
}

pub(super) fn nothing_to_count(scene: &Scene<'_>) -> Why {
    let Some(pool) = scene.block.and_then(|block| block.pool.as_ref()) else {
        return Ok(None);
    };
    if pool.kind == PoolKind::Max {
        return because(true, "a maximum never takes the padding");
    }
    because(pool.padding == [0, 0], "nothing is padded; set `padding`")
}

/// The own rate of a local rule where every phase that trains it sets another one.
pub(super) fn replaced_rate(scene: &Scene<'_>) -> Why {
    let Some(layer) = scene.block.and_then(|block| block.layer.as_ref()) else {
        return Ok(None);
    };
    let schema = scene.context.rule(&layer.rule)?;
    if schema.credit != Credit::Local && !schema.also_local {
        return Ok(None);
    }
    let phases = training(scene);
    if phases.is_empty() {
        return because(true, "no phase trains this block");
    }
    because(
        phases.iter().all(|p| p.local_rate.is_some()),
        "every phase that trains this block sets `local_rate`, which takes its place",
    )
}

/// A hyperparameter that the rule of the block, or of every layer with the shared rule, does not
/// read because of others or of the layer.
pub(super) fn unread_hyperparameter(scene: &Scene<'_>, key: &str, value: &Value) -> Why {
    if key == "name" {
        return Ok(None);
    }
    let layers = every_block(&scene.plan.blocks);
    let shared = |block: &BlockPlan| !scene.given.names_rule(&block.name);
    let mut asked = layers
        .into_iter()
        .filter(|block| block.layer.is_some())
        .filter(|block| {
            scene
                .block
                .map_or_else(|| shared(block), |b| b.name == block.name)
        })
        .peekable();
    let Some(rule) = asked.peek().and_then(|b| b.layer.as_ref()).map(|l| &l.rule) else {
        return Ok(None);
    };
    let schema = scene.context.rule(rule)?;
    let param = schema.params.iter().flatten().find(|p| p.name == key);
    let default = param.and_then(|p| p.default.as_ref());
    if default.is_some_and(|default| is_same(value, default)) {
        return Ok(None);
    }
    let unread = scene
        .unread
        .get_or_init(|| scene.context.unread(scene.plan));
    let skips = |block: &BlockPlan| {
        let here = unread.iter().filter(|layer| layer.block == block.name);
        here.flat_map(|layer| &layer.params).any(|name| name == key)
    };
    if !asked.all(skips) {
        return Ok(None);
    }
    let layer = match scene.block {
        Some(_) => "this layer",
        None => "any layer",
    };
    let doc = param.map(|p| format!(" ({})", p.doc)).unwrap_or_default();
    because(
        true,
        format!("`{rule}` with its other hyperparameters does not read it in {layer}{doc}"),
    )
}

/// Whether `value` is what a hyperparameter has anyway.
fn is_same(value: &Value, default: &ParamValue) -> bool {
    match default {
        ParamValue::Bool(want) => matches!(value.kind, ValueKind::Boolean(b) if b == *want),
        ParamValue::Int(want) => value::number(value) == Some(*want as f64),
        ParamValue::Float(want) => value::number(value) == Some(*want),
        ParamValue::Text(want) => value::text(value) == Some(want.as_str()),
    }
}

// Phases.

pub(super) fn not_driven(scene: &Scene<'_>) -> Why {
    because(
        scene.phase.is_some_and(|p| p.drive == Drive::Local),
        "a local phase has no loss and no optimiser; the rate of its rules is `local_rate`",
    )
}

pub(super) fn loss_without_look(scene: &Scene<'_>) -> Why {
    let Some(phase) = scene.phase else {
        return Ok(None);
    };
    let last = scene
        .plan
        .phases
        .last()
        .is_some_and(|p| p.name == phase.name);
    because(
        phase.drive == Drive::Local && phase.evaluate_every == 0 && !last,
        "a local phase that is not evaluated has no loss",
    )
}

pub(super) fn no_local_rule(scene: &Scene<'_>) -> Why {
    let Some(phase) = scene.phase else {
        return Ok(None);
    };
    for block in every_block(&scene.plan.blocks) {
        let Some(layer) = &block.layer else { continue };
        if !scene.plan.trains(phase, &block.name) {
            continue;
        }
        let schema = scene.context.rule(&layer.rule)?;
        if schema.also_local || (schema.credit == Credit::Local && phase.drive != Drive::Gradient) {
            return Ok(None);
        }
    }
    because(
        true,
        format!(
            "no local rule learns in phase `{}`; the rate of the others is `optimizer.lr`",
            phase.name
        ),
    )
}

pub(super) fn no_neurons(scene: &Scene<'_>) -> Why {
    let Some(phase) = scene.phase else {
        return Ok(None);
    };
    if phase.drive != Drive::Local {
        return because(true, "only local phases give their units classes");
    }
    let last = scene
        .plan
        .blocks
        .iter()
        .rfind(|b| phase.blocks.contains(&b.name));
    let layer = last.and_then(|block| block.layer.as_ref());
    because(
        !layer.is_some_and(|layer| layer.map == MapPlan::Dense),
        "the last block of the phase has no dense layer",
    )
}

pub(super) fn schedule_without_change(scene: &Scene<'_>) -> Why {
    let why = not_driven(scene)?;
    let (None, Some(phase)) = (&why, scene.phase) else {
        return Ok(why);
    };
    let epochs = phase.epochs;
    match &phase.schedule {
        SchedulePlan::Softhebb if softhebb_thresholds(epochs).is_empty() => because(
            true,
            format!(
                "`softhebb` halves the rate in phases of 20 epochs and more, and this one has {epochs}"
            ),
        ),
        SchedulePlan::Cosine { .. }
        | SchedulePlan::Linear { .. }
        | SchedulePlan::Exponential { .. }
            if epochs == 1 =>
        {
            because(
                true,
                "it moves the rate between epochs, and the phase has one",
            )
        }
        SchedulePlan::Steps { epochs: at, .. } => because(
            !at.iter().any(|at| epochs == 0 || *at < epochs),
            format!("the rate falls after none of the phase's {epochs} epochs"),
        ),
        _ => Ok(None),
    }
}

pub(super) fn warm_up_without_end(scene: &Scene<'_>) -> Why {
    let why = not_driven(scene)?;
    let (None, Some(phase)) = (&why, scene.phase) else {
        return Ok(why);
    };
    match phase.warmup() {
        Some(Warmup::Epochs(of)) => because(
            phase.epochs > 0 && of > phase.epochs,
            format!(
                "in part: the phase ends after {} epochs, before the warm-up does",
                phase.epochs
            ),
        ),
        _ => Ok(None),
    }
}

/// Epochs of a schedule that the phase does not reach.
pub(super) fn steps_beyond(scene: &Scene<'_>) -> Why {
    let why = schedule_without_change(scene)?;
    let (None, Some(phase)) = (&why, scene.phase) else {
        return Ok(why);
    };
    let SchedulePlan::Steps { epochs: at, .. } = &phase.schedule else {
        return Ok(None);
    };
    let beyond = at
        .iter()
        .find(|at| phase.epochs > 0 && **at >= phase.epochs);
    Ok(beyond.map(|at| {
        format!(
            "in part: a step after epoch {at} is never reached in {} epochs",
            phase.epochs
        )
    }))
}

/// Limits of cached features where no features are cached.
pub(super) fn nothing_kept(scene: &Scene<'_>) -> Why {
    let Some(phase) = scene.phase else {
        return Ok(None);
    };
    if !phase.cache.enabled {
        return because(true, "the cache is off");
    }
    let plan = scene.plan;
    let first = plan
        .blocks
        .iter()
        .position(|b| phase.blocks.contains(&b.name));
    if first.is_none_or(|first| first == 0) {
        return because(true, "no frozen block stands before those that learn");
    }
    let augmented = |p: &PhasePlan| {
        let set = plan.data_of(&p.data);
        p.augment && set.is_some_and(|set| !set.augment.is_none())
    };
    let here = plan.phases.iter().position(|p| p.name == phase.name);
    let later = plan.phases.iter().skip(here.map_or(0, |at| at + 1));
    let again = later
        .filter(|p| p.data == phase.data && p.cache.enabled)
        .any(|p| !augmented(p));
    let trained = !augmented(phase) && (phase.epochs != 1 || again);
    let every = phase.evaluate_every;
    let evaluated = every > 0 && (phase.epochs == 0 || phase.epochs / every > 1);
    because(
        !trained && !evaluated,
        "the frozen blocks are asked for once only, or see other images in each epoch",
    )
}

// Output.

pub(super) fn no_alignment(scene: &Scene<'_>) -> Why {
    let every = scene.plan.output.alignment_every;
    let driven = scene.plan.phases.iter().filter(|p| p.drive != Drive::Local);
    let mut driven = driven.peekable();
    if driven.peek().is_none() {
        return because(true, "no phase is driven by the loss");
    }
    because(
        !driven.any(|p| p.epochs == 0 || p.epochs >= every),
        format!("no phase that is driven by the loss has {every} epochs"),
    )
}

// What is looked at beside single settings.

/// Folders of plugins that are not there.
pub(super) fn missing_folders(plan: &RunPlan, warnings: &mut Warnings) {
    for folder in plan.plugin_folders.iter().filter(|f| !f.is_dir()) {
        warnings.add(format!(
            "`plugin_folders` names `{}`, which is not a folder",
            folder.display()
        ));
    }
}

/// Phases that augment samples of a set without augmentation.
pub(super) fn empty_augmentation(plan: &RunPlan, sources: &[Source], warnings: &mut Warnings) {
    for phase in plan.phases.iter().filter(|p| p.augment) {
        let set = plan.data_of(&phase.data);
        let path = match plan.extra_data.contains_key(&phase.data) {
            true => format!("extra_data.{}.augment", phase.data),
            false => "data.augment".to_owned(),
        };
        if set.is_some_and(|set| set.augment.is_none()) {
            let phase = match sources {
                [] => format!("`phases.{}.augment`", phase.name),
                _ => format!("`augment` of phase `{}`", phase.name),
            };
            warnings.add(format!(
                "{phase} has no effect: `{path}` changes nothing; set `flip`, `crop`, `resized_crop`, `noise` or `cutout` there"
            ));
        }
    }
}

/// Without a probability there is nothing to grow.
pub(super) fn ramp_without_drop_path(scene: &Scene<'_>) -> Result<Option<String>> {
    let dropped = |b: &BlockPlan| {
        let nodes = b.graph.iter().flat_map(|g| &g.nodes);
        nodes.flat_map(|n| &n.from).any(|e| e.drop_path.is_some())
    };
    let all = scene.plan.blocks.iter().any(dropped);
    Ok((!all).then(|| "`network.drop_path` is 0".to_owned()))
}
