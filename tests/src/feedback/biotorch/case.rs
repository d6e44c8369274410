//! A file as a network: plans, names and starting tensors.

use biorule::config::{BlockPlan, Loss, MapPlan, OptimizerPlan, ParamValue, PoolKind};
use biorule::data::Answers;
use biorule::nn::rule::RuleSource;
use candle_core::DType;
use serde_json::Value;

use crate::Result;
use crate::feedback::plans::{
    Geometry, RuleChoice, activation, block, dense_blocks, layer as layer_plan, number, pool,
    residual_blocks, word,
};
use crate::feedback::rule_name;
use crate::feedback::trial::Trial;
use crate::golden::File;

/// A case: the file, and what its metadata say.
pub(super) struct Case<'a> {
    pub(super) file: &'a File,
    pub(super) rules: &'a dyn RuleSource,
    pub(super) rule: String,
    pub(super) layers: Vec<String>,
    pub(super) config: Value,
}

impl Case<'_> {
    /// The rule alone, without options that act on what it returns.
    pub(super) fn bare(&self, name: &str) -> Result<RuleChoice> {
        let mut choice = self.choice(name)?;
        choice.params.remove("gradient_clip");
        Ok(choice)
    }
    fn choice(&self, name: &str) -> Result<RuleChoice> {
        let init = match self.file.text("init")? {
            "xavier" => "xavier",
            _ => "kaiming",
        };
        let mut params = vec![("init", word(init))];
        let family = matches!(name, "fa" | "usf" | "brsf" | "frsf");
        if family && self.file.flag("gradient_clip")? {
            params.push(("gradient_clip", number(1.0)));
        }
        if family && self.file.flag("constrain_weights")? {
            params.push(("constrain_weights", ParamValue::Bool(true)));
        }
        Ok(RuleChoice::new(rule_name(name)?, &params))
    }

    fn setting(&self, name: &str) -> Option<usize> {
        self.config.get(name)?.as_u64().map(|n| n as usize)
    }
    fn size(&self, name: &str) -> Result<usize> {
        Ok(self
            .setting(name)
            .ok_or_else(|| format!("net_config has no `{name}`"))?)
    }

    /// The network, and the width of its output. A layer has a bias where the file has one for
    /// it: `"bias": false` of BioTorch's networks is a matter of the convolutions alone.
    fn blocks(&self) -> Result<(Vec<BlockPlan>, usize)> {
        let (mut blocks, outputs) = self.network()?;
        self.set_biases(&mut blocks);
        Ok((blocks, outputs))
    }
    fn set_biases(&self, blocks: &mut [BlockPlan]) {
        for block in blocks {
            if let Some(layer) = &mut block.layer {
                layer.bias = self.file.has(&format!("init.{}.bias", block.name));
            }
            if let Some(residual) = &mut block.residual {
                self.set_biases(&mut residual.blocks);
            }
        }
    }

    /// The network but for its biases.
    fn network(&self) -> Result<(Vec<BlockPlan>, usize)> {
        let rule = self.choice(&self.rule)?;
        let act = match self.config.get("act").and_then(Value::as_str) {
            Some(name) => activation(name)?,
            None => activation("relu")?,
        };
        match self.file.text("net")? {
            "MLP" => {
                let dims = self.config.get("dims").and_then(Value::as_array);
                let dims = dims.ok_or("net_config has no `dims`")?;
                let widths: Vec<usize> = dims
                    .iter()
                    .skip(1)
                    .filter_map(Value::as_u64)
                    .map(|n| n as usize)
                    .collect();
                let mut activations = vec![act; widths.len()];
                *activations.last_mut().ok_or("no layers")? = None;
                let outputs = *widths.last().ok_or("no layers")?;
                Ok((
                    dense_blocks(&rule, &self.layers, &widths, &activations),
                    outputs,
                ))
            }
            "CNN" => {
                let kernel = self.setting("k").unwrap_or(3);
                let pad = self.setting("pad").unwrap_or(1);
                let second = Geometry {
                    stride: self.setting("stride2").unwrap_or(2),
                    dilation: self.setting("dil").unwrap_or(1),
                    groups: self.setting("groups").unwrap_or(1),
                    ..Geometry::plain(kernel, pad)
                };
                let classes = self.size("nc")?;
                let conv = |name: &str, geometry: Geometry, out: usize| BlockPlan {
                    layer: Some(layer_plan(&rule, geometry.map(), out, true)),
                    activation: act.clone(),
                    ..block(name)
                };
                let first = BlockPlan {
                    pool: pool(PoolKind::Max, 2),
                    ..conv("conv1", Geometry::plain(kernel, pad), self.size("c1")?)
                };
                let last = BlockPlan {
                    flatten: true,
                    layer: Some(layer_plan(&rule, MapPlan::Dense, classes, true)),
                    ..block("fc")
                };
                Ok((
                    vec![first, conv("conv2", second, self.size("c2")?), last],
                    classes,
                ))
            }
            "RES" => {
                let classes = self.size("nc")?;
                Ok((residual_blocks(&rule, self.size("c")?, classes), classes))
            }
            other => Err(format!("no network is called `{other}`").into()),
        }
    }

    /// Our name of BioTorch's tensor `layer.part`, if we hold it.
    pub(super) fn ours(&self, name: &str) -> Option<String> {
        let (layer, part) = name.rsplit_once('.')?;
        let own = layer.rsplit('.').next()?;
        let place = |layer: &str| match layer.split_once('.') {
            Some((outer, _)) => format!("blocks.{outer}.inner.{layer}"),
            None => format!("blocks.{layer}"),
        };
        if let Some(number) = own.strip_prefix("bn") {
            let conv = format!("{}conv{number}", layer.strip_suffix(own)?);
            return Some(format!("{}.norm_inner.{part}", place(&conv)));
        }
        let part = match (part, self.rule.as_str()) {
            ("weight_backward", "fa" | "dfa") => "feedback",
            ("weight_backward", "frsf") => "magnitude",
            ("weight_backward", _) => return None,
            (part, _) => part,
        };
        Some(format!("{}.layer.{part}", place(layer)))
    }
    /// Our name of a layer's weight.
    pub(super) fn weight(&self, layer: &str) -> Result<String> {
        Ok(self
            .ours(&format!("{layer}.weight"))
            .ok_or("a layer has a name")?)
    }

    pub(super) fn trial(&self) -> Result<Trial> {
        let (blocks, outputs) = self.blocks()?;
        let labels = self.file.tensor("target")?.to_dtype(DType::U32)?;
        let batch = (self.file.tensor("x")?, Answers::Classes(labels));
        let optimizer = self.optimizer()?;
        let trial = Trial::new(
            self.rules,
            &blocks,
            batch,
            outputs,
            Loss::CrossEntropy,
            &optimizer,
        )?;
        for name in self.file.names().filter_map(|n| n.strip_prefix("init.")) {
            if let Some(ours) = self.ours(name) {
                trial.set(&ours, &self.file.tensor(&format!("init.{name}"))?)?;
            }
        }
        for layer in &self.layers {
            let golden = |part: &str| self.file.tensor(&format!("constrain.{layer}.{part}"));
            if let Ok(before) = golden("weight_before_forward") {
                let weight = self.weight(layer)?;
                trial.set(&weight, &before)?;
                trial.set(
                    &weight.replace(".weight", ".norm"),
                    &golden("norm_initial")?,
                )?;
            }
        }
        Ok(trial)
    }

    fn optimizer(&self) -> Result<OptimizerPlan> {
        let lr = self.file.number("lr")?;
        let weight_decay = self.file.number("weight_decay")?;
        Ok(match self.file.text("optimizer")? {
            "adam" => OptimizerPlan::Adam {
                lr,
                betas: [0.9, 0.999],
                eps: 1e-8,
                weight_decay,
                decoupled_decay: 0.0,
            },
            _ => OptimizerPlan::Sgd {
                lr,
                momentum: self.file.number("momentum")?,
                weight_decay,
                decoupled_decay: 0.0,
            },
        })
    }

    /// Golden magnitudes for the step to come.
    pub(super) fn set_magnitudes(&self, trial: &Trial, step: usize) -> Result<()> {
        if self.rule != "brsf" {
            return Ok(());
        }
        for layer in &self.layers {
            let name = format!("feedback_used.step{step}.{layer}");
            if self.file.has(&name) {
                trial.replace_kept(layer, "magnitude", self.file.tensor(&name)?.abs()?);
            }
        }
        Ok(())
    }
}
