//! A loaded rule as the checks of the plugin interface's testkit see one: through the
//! binding that training uses.

use std::collections::HashMap;

use biorule_plugin_api::sdk::{DType as Kind, ParamSpec, ParamValue, Result as Outcome, RuleError};
use biorule_plugin_api::testkit::{
    Array, Bound, Call, Changed, Config, Facts, Grads, Held, Missed, Named, Output, Seen, Site,
    Subject,
};
use candle_core::{DType, Device, Tensor};

use crate::nn::rule::{Activity, ChangeKind, Errors, LayerShape, Rule as _, RuleCall, StateTensor};
use crate::plan::{LayerPlan, MapPlan, ParamValue as PlanValue};
use crate::plugins::Registry;
use crate::plugins::bind::BoundRule;
use crate::plugins::entry::RuleEntry;
use crate::plugins::geometry;

/// A rule of a registry.
pub struct Loaded<'a> {
    /// Where its tensors are.
    pub device: Device,
    /// Where it is bound.
    pub registry: &'a Registry,
    /// The rule.
    pub entry: &'a RuleEntry,
}

/// The rule on one layer, with the type and the place of its tensors.
struct OnLayer(BoundRule, DType, Device);

fn plain(value: &ParamValue) -> PlanValue {
    match value {
        ParamValue::Bool(v) => PlanValue::Bool(*v),
        ParamValue::Int(v) => PlanValue::Int(*v),
        ParamValue::Float(v) => PlanValue::Float(*v),
        ParamValue::Text(v) => PlanValue::Text(v.clone()),
    }
}

fn told(error: crate::Error) -> RuleError {
    RuleError::rule(error.text)
}

fn candle(error: candle_core::Error) -> RuleError {
    RuleError::rule(error.to_string())
}

fn array(tensor: &Tensor) -> Outcome<Array> {
    let values = tensor.flatten_all().and_then(|t| t.to_dtype(DType::F64));
    let values = values.and_then(|t| t.to_vec1()).map_err(candle)?;
    let kind = match tensor.dtype() {
        DType::F64 => Kind::F64,
        DType::U32 => Kind::U32,
        DType::U8 => Kind::U8,
        _ => Kind::F32,
    };
    Ok(Array::of(kind, tensor.dims(), values))
}

impl OnLayer {
    /// Numbers as a tensor of the layer's type, or of their own where they are whole.
    fn tensor(&self, array: &Array) -> Outcome<Tensor> {
        let values = array.values().to_vec();
        let dtype = match array.dtype() {
            Kind::U32 => DType::U32,
            Kind::U8 => DType::U8,
            Kind::F32 | Kind::F64 => self.1,
        };
        let tensor = Tensor::from_vec(values, array.shape(), &Device::Cpu);
        let tensor = tensor.and_then(|t| t.to_dtype(dtype)?.to_device(&self.2));
        tensor.map_err(candle)
    }

    fn tensors(&self, named: &Named) -> Outcome<Vec<(String, Tensor)>> {
        let all = named
            .iter()
            .map(|(name, t)| Ok((name.clone(), self.tensor(t)?)));
        all.collect()
    }

    fn state(&self, held: &[Held]) -> Outcome<Vec<StateTensor>> {
        let all = held.iter().map(|held| {
            Ok(StateTensor {
                name: held.name.clone(),
                tensor: self.tensor(&held.value)?,
                role: held.role,
            })
        });
        all.collect()
    }

    /// Runs `body` on the tensors of `missed`.
    fn missing<T>(
        &self,
        missed: Missed<'_>,
        body: impl FnOnce(&Errors<'_>) -> Outcome<T>,
    ) -> Outcome<T> {
        let some = |array: Option<&Array>| array.map(|a| self.tensor(a)).transpose();
        let output_error = some(missed.output_error)?;
        let (target, losses) = (some(missed.target)?, some(missed.losses)?);
        body(&Errors {
            x: &self.tensor(missed.x)?,
            y: &self.tensor(missed.y)?,
            kept: &self.tensors(missed.kept)?,
            grad_y: &self.tensor(missed.grad_y)?,
            output_error: output_error.as_ref(),
            target: target.as_ref(),
            losses: losses.as_ref(),
            want_grad_x: missed.want_grad_x,
            want_grads: true,
        })
    }
}

fn arrays(named: &[(String, Tensor)]) -> Outcome<Named> {
    let all = named.iter().map(|(name, t)| Ok((name.clone(), array(t)?)));
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
        let state = self.0.init(seed, &self.2, self.1).map_err(told)?;
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
        let out = self
            .0
            .forward(&call(at), &self.state(held)?, &self.tensor(x)?);
        let out = out.map_err(told)?;
        Ok(Output {
            y: array(&out.y)?,
            kept: arrays(&out.kept)?,
        })
    }

    fn learn(&self, at: &Call, held: &[Held], seen: Seen<'_>) -> Outcome<Vec<Changed>> {
        let target = seen.target.map(|t| self.tensor(t)).transpose()?;
        let activity = Activity {
            x: &self.tensor(seen.x)?,
            y: &self.tensor(seen.y)?,
            kept: &self.tensors(seen.kept)?,
            target: target.as_ref(),
        };
        let changes = self.0.learn(&call(at), &self.state(held)?, &activity);
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
        let grads = self.missing(missed, |errors| {
            self.0
                .backward(&call(at), &self.state(held)?, errors)
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
        let below = self.missing(missed, |errors| {
            let below = self.0.input_gradient(&call(at), &self.state(held)?, errors);
            below.map_err(told)
        })?;
        below.as_ref().map(array).transpose()
    }

    fn metrics(&self, at: &Call, held: &[Held]) -> Outcome<Vec<(String, f64)>> {
        self.0.metrics(&call(at), &self.state(held)?).map_err(told)
    }

    fn least_batch(&self) -> usize {
        self.0.facts().least_batch
    }

    fn leaked(&self) -> u64 {
        self.0.leaked()
    }
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

    fn presented(&self) -> (String, String) {
        (self.entry.name.clone(), self.entry.summary.clone())
    }

    fn schema(&self) -> Vec<ParamSpec> {
        self.entry.params.clone()
    }

    fn bind_with(&self, site: &Site, params: &Config, dtype: Kind) -> Outcome<Box<dyn Bound>> {
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
            params: params
                .iter()
                .map(|(name, value)| (name.clone(), plain(value)))
                .collect(),
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
        let dtype = match dtype {
            Kind::F64 => DType::F64,
            _ => DType::F32,
        };
        let rule = self.registry.bind_rule(&plan, &shape).map_err(told)?;
        Ok(Box::new(OnLayer(rule, dtype, self.device.clone())))
    }

    /// Through the format of checkpoints.
    fn reload(&self, held: Vec<Held>) -> Outcome<Vec<Held>> {
        let single = |value: &Array| {
            let values = value.values().to_vec();
            let tensor = Tensor::from_vec(values, value.shape(), &Device::Cpu);
            tensor.and_then(|t| t.to_dtype(DType::F32)).map_err(candle)
        };
        let tensors: HashMap<String, Tensor> = held
            .iter()
            .map(|held| Ok((held.name.clone(), single(&held.value)?)))
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
