//! A loaded rule as the checks of the plugin interface's testkit see one: through the
//! binding that training uses, on the CPU, in f32.

use std::collections::HashMap;

use biorule_plugin_api::sdk::{DType as Kind, Result as Outcome, RuleError};
use biorule_plugin_api::testkit::{
    Array, Bound, Call, Changed, Facts, Grads, Held, Missed, Named, Output, Seen, Site, Subject,
};
use candle_core::{DType, Device, Tensor};

use crate::nn::rule::{
    Activity, ChangeKind, Errors, LayerShape, Rule, RuleCall, RuleSource as _, StateTensor,
};
use crate::plan::{LayerPlan, MapPlan};
use crate::plugins::Registry;
use crate::plugins::entry::RuleEntry;
use crate::plugins::geometry;

/// A rule of a registry.
pub struct Loaded<'a> {
    /// Where it is bound.
    pub registry: &'a Registry,
    /// The rule.
    pub entry: &'a RuleEntry,
}

/// The rule on one layer.
struct OnLayer(Box<dyn Rule>);

fn told(error: crate::Error) -> RuleError {
    RuleError::rule(error.text)
}

fn candle(error: candle_core::Error) -> RuleError {
    RuleError::rule(error.to_string())
}

fn tensor(array: &Array) -> Outcome<Tensor> {
    let values = array.values().to_vec();
    let tensor = Tensor::from_vec(values, array.shape(), &Device::Cpu);
    tensor.and_then(|t| t.to_dtype(DType::F32)).map_err(candle)
}

fn array(tensor: &Tensor) -> Outcome<Array> {
    let values = tensor.flatten_all().and_then(|t| t.to_dtype(DType::F64));
    let values = values.and_then(|t| t.to_vec1()).map_err(candle)?;
    Ok(Array::of(Kind::F32, tensor.dims(), values))
}

fn tensors(named: &Named) -> Outcome<Vec<(String, Tensor)>> {
    let all = named.iter().map(|(name, t)| Ok((name.clone(), tensor(t)?)));
    all.collect()
}

fn arrays(named: &[(String, Tensor)]) -> Outcome<Named> {
    let all = named.iter().map(|(name, t)| Ok((name.clone(), array(t)?)));
    all.collect()
}

fn state(held: &[Held]) -> Outcome<Vec<StateTensor>> {
    let all = held.iter().map(|held| {
        Ok(StateTensor {
            name: held.name.clone(),
            tensor: tensor(&held.value)?,
            role: held.role,
        })
    });
    all.collect()
}

fn call(call: &Call) -> RuleCall {
    RuleCall {
        pass: 0,
        step: call.step,
        epoch: call.epoch,
        epochs: call.epochs,
        steps_per_epoch: call.steps_per_epoch,
        batch: call.batch,
        samples: call.samples,
        seed: call.seed,
        rate: call.rate,
        training: call.training,
        learning: call.learning,
    }
}

impl Bound for OnLayer {
    fn start(&self, seed: u64) -> Outcome<Vec<Held>> {
        let state = self.0.init(seed, &Device::Cpu, DType::F32).map_err(told)?;
        let all = state.iter().map(|s| {
            Ok(Held {
                name: s.name.clone(),
                role: s.role,
                value: array(&s.tensor)?,
            })
        });
        all.collect()
    }

    fn forward(&self, at: &Call, held: &[Held], x: &Array) -> Outcome<Output> {
        let out = self.0.forward(&call(at), &state(held)?, &tensor(x)?);
        let out = out.map_err(told)?;
        Ok(Output {
            y: array(&out.y)?,
            kept: arrays(&out.kept)?,
        })
    }

    fn learn(&self, at: &Call, held: &[Held], seen: Seen<'_>) -> Outcome<Vec<Changed>> {
        let target = seen.target.map(tensor).transpose()?;
        let activity = Activity {
            x: &tensor(seen.x)?,
            y: &tensor(seen.y)?,
            kept: &tensors(seen.kept)?,
            target: target.as_ref(),
        };
        let changes = self.0.learn(&call(at), &state(held)?, &activity);
        let changes = changes.map_err(told)?.into_iter().map(|change| {
            let replaces = matches!(change.kind, ChangeKind::Set);
            // What is added, whatever way the rule says it.
            let value = match replaces {
                true => change.tensor,
                false => {
                    let zero = change.tensor.zeros_like().map_err(|e| told(e.into()))?;
                    change.applied(&zero).map_err(told)?
                }
            };
            Ok(Changed {
                replaces,
                value: array(&value)?,
                name: change.name,
            })
        });
        changes.collect()
    }

    fn backward(&self, at: &Call, held: &[Held], missed: Missed<'_>) -> Outcome<Grads> {
        let grads = missing(missed, |errors| {
            self.0
                .backward(&call(at), &state(held)?, errors)
                .map_err(told)
        })?;
        Ok(Grads {
            below: grads.grad_x.as_ref().map(array).transpose()?,
            own: arrays(&grads.grads)?,
        })
    }

    fn input_gradient(
        &self,
        at: &Call,
        held: &[Held],
        missed: Missed<'_>,
    ) -> Outcome<Option<Array>> {
        let below = missing(missed, |errors| {
            let below = self.0.input_gradient(&call(at), &state(held)?, errors);
            below.map_err(told)
        })?;
        below.as_ref().map(array).transpose()
    }
}

/// Runs `body` on the tensors of `missed`.
fn missing<T>(missed: Missed<'_>, body: impl FnOnce(&Errors<'_>) -> Outcome<T>) -> Outcome<T> {
    let output_error = missed.output_error.map(tensor).transpose()?;
    body(&Errors {
        x: &tensor(missed.x)?,
        y: &tensor(missed.y)?,
        kept: &tensors(missed.kept)?,
        grad_y: &tensor(missed.grad_y)?,
        output_error: output_error.as_ref(),
        want_grad_x: missed.want_grad_x,
        want_grads: true,
    })
}

impl Subject for Loaded<'_> {
    fn facts(&self) -> Facts {
        Facts {
            credit: self.entry.facts.credit,
            dense: self.entry.dense,
            conv: self.entry.conv,
            wants_target: self.entry.facts.wants_target,
            also_local: self.entry.facts.also_local,
            claims: self.entry.claims,
        }
    }

    fn bind(&self, site: &Site) -> Outcome<Box<dyn Bound>> {
        let map = site.conv.map_or(MapPlan::Dense, |conv| MapPlan::Conv {
            kernel: conv.kernel,
            stride: conv.stride,
            padding: conv.padding,
            dilation: conv.dilation,
            groups: conv.groups,
            padding_mode: geometry::pad_mode(conv.pad_mode),
        });
        let plan = LayerPlan {
            map,
            out: site.units,
            bias: site.bias,
            rule: self.entry.name.clone(),
            params: Default::default(),
        };
        let shape = LayerShape {
            name: format!("layer{}", site.index),
            index: site.index,
            input: site.input.clone(),
            output: site.output()?,
            classes: site.classes,
            first: site.first,
            last: site.last,
            normalised: site.normalised,
        };
        let rule = self.registry.bind(&plan, &shape, DType::F32);
        Ok(Box::new(OnLayer(rule.map_err(told)?)))
    }

    /// Through the format of checkpoints.
    fn reload(&self, held: Vec<Held>) -> Outcome<Vec<Held>> {
        let tensors: HashMap<String, Tensor> = held
            .iter()
            .map(|held| Ok((held.name.clone(), tensor(&held.value)?)))
            .collect::<Outcome<_>>()?;
        let saved = safetensors::serialize(&tensors, None);
        let saved = saved.map_err(|e| RuleError::rule(e.to_string()))?;
        let loaded = candle_core::safetensors::load_buffer(&saved, &Device::Cpu).map_err(candle)?;
        let again = held.into_iter().map(|held| {
            Ok(Held {
                value: array(&loaded[&held.name])?,
                ..held
            })
        });
        again.collect()
    }
}
