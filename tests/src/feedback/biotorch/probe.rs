//! What stands in a weight's place, as the rule itself shows it, and how far it agrees.

use std::collections::BTreeMap;

use biorule::config::MapPlan;
use biorule::nn::rule::{Errors, LayerShape, Role, RuleCall, StateTensor};
use candle_core::{DType, Device, Tensor};

use super::case::Case;
use crate::Result;
use crate::feedback::plans::{Geometry, RuleChoice, layer as layer_plan};
use crate::feedback::rule_name;
use crate::feedback::trial::Trial;

/// What rule `rule` puts in the place of `weight`: the errors that it sends below, from a unit
/// error at each output of a layer with one position.
pub(super) fn feedback(
    case: &Case<'_>,
    trial: &Trial,
    rule: &str,
    layer: &str,
    weight: &Tensor,
) -> Result<Tensor> {
    let dims = weight.dims().to_vec();
    let (units, input) = (dims[0], dims[1..].to_vec());
    let map = match dims[..] {
        [_, _] => MapPlan::Dense,
        _ => Geometry::plain(dims[2], 0).map(),
    };
    let output = [vec![units], vec![1; dims.len() - 2]].concat();
    let shape = LayerShape {
        name: layer.into(),
        index: 1,
        input: input.clone(),
        output: output.clone(),
        classes: units,
        first: false,
        last: false,
        normalised: false,
    };
    let choice = case.bare(rule)?;
    let plan = layer_plan(&choice, map, units, false);
    let bound = case.rules.bind(&plan, &shape, DType::F32)?;
    let mut state = vec![held("weight", weight.clone())];
    let own = case.weight(layer)?;
    for part in ["feedback", "magnitude", "norm"] {
        let name = own.replace(".weight", &format!(".{part}"));
        if trial.has(&name) {
            state.push(held(part, trial.tensor(&name)?));
        }
    }
    let magnitude = trial.kept(layer, "magnitude");
    let kept: Vec<_> = magnitude
        .map(|t| ("magnitude".to_string(), t))
        .into_iter()
        .collect();
    let x = Tensor::zeros([vec![units], input].concat(), DType::F32, &Device::Cpu)?;
    let unit_errors = Tensor::eye(units, DType::F32, &Device::Cpu)?;
    let unit_errors = unit_errors.reshape([vec![units], output].concat())?;
    let errors = Errors {
        x: &x,
        y: &unit_errors,
        kept: &kept,
        grad_y: &unit_errors,
        output_error: None,
        target: None,
        losses: None,
        want_grad_x: true,
        want_grads: false,
    };
    let out = bound.backward(&RuleCall::evaluation(3), &state, &errors)?;
    Ok(out.grad_x.ok_or("no error came out below")?)
}

fn held(name: &str, tensor: Tensor) -> StateTensor {
    StateTensor {
        name: name.into(),
        tensor,
        role: Role::Weight,
    }
}

/// Agreement of two tensors, as `feedback-alignment/fa` reports it.
pub(super) fn agreement(
    case: &Case<'_>,
    weight: &Tensor,
    feedback: &Tensor,
) -> Result<BTreeMap<String, f64>> {
    let (flat, n) = (weight.flatten_all()?, weight.elem_count());
    let shape = LayerShape {
        name: "both".into(),
        index: 0,
        input: vec![n],
        output: vec![1],
        classes: 1,
        first: true,
        last: true,
        normalised: false,
    };
    let choice = RuleChoice::new(rule_name("fa")?, &[]);
    let plan = layer_plan(&choice, MapPlan::Dense, 1, false);
    let bound = case.rules.bind(&plan, &shape, DType::F32)?;
    let state = [
        held("weight", flat.reshape((1, n))?),
        held("feedback", feedback.reshape((1, n))?),
    ];
    let metrics = bound.metrics(&RuleCall::evaluation(3), &state)?;
    Ok(metrics.into_iter().collect())
}

/// Angle in degrees, in f64.
pub(super) fn slow_angle(a: &Tensor, b: &Tensor) -> Result<f64> {
    let values = |t: &Tensor| t.flatten_all()?.to_dtype(DType::F64)?.to_vec1::<f64>();
    let (a, b) = (values(a)?, values(b)?);
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    Ok((dot(&a, &b) / (dot(&a, &a) * dot(&b, &b)).sqrt())
        .acos()
        .to_degrees())
}
