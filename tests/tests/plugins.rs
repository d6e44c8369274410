//! Loading and binding the shipped plugins.

use biorule::config::{LayerPlan, MapPlan};
use biorule::nn::rule::{Credit, Errors, LayerShape, RuleCall, RuleSource as _};

use biorule_tests::plugins::registry;
use candle_core::{DType, Device, Tensor};

fn dense(inputs: usize, outputs: usize) -> LayerShape {
    LayerShape {
        index: 0,
        name: "fc".into(),
        input: vec![inputs],
        output: vec![outputs],
        classes: outputs,
        first: true,
        last: true,
        normalised: false,
    }
}

fn call() -> RuleCall {
    RuleCall {
        training: true,
        learning: true,
        ..RuleCall::evaluation(1)
    }
}

#[test]
fn every_shipped_plugin_loads() {
    let registry = registry();
    assert!(registry.broken().is_empty(), "{:?}", registry.broken());
    let names: Vec<&str> = registry.rules().map(|r| r.name.as_str()).collect();
    assert!(
        names.contains(&"backprop") && names.contains(&"softhebb"),
        "{names:?}"
    );
}

#[test]
fn backprop_of_a_dense_layer_is_the_closed_form() {
    let registry = registry();
    assert_eq!(
        registry.get("backprop").unwrap().facts.credit,
        Credit::Feedback
    );
    let plan = LayerPlan {
        map: MapPlan::Dense,
        out: 3,
        bias: true,
        rule: "backprop".into(),
        params: Default::default(),
    };
    let rule = registry.bind(&plan, &dense(5, 3), DType::F64).unwrap();
    let state = rule.init(7, &Device::Cpu, DType::F64).unwrap();
    let x = Tensor::randn(0f64, 1.0, (4, 5), &Device::Cpu).unwrap();
    let g = Tensor::randn(0f64, 1.0, (4, 3), &Device::Cpu).unwrap();
    let forwarded = rule.forward(&call(), &state, &x).unwrap();
    let w = &state[0].tensor;
    let expected = x
        .matmul(&w.t().unwrap())
        .unwrap()
        .broadcast_add(&state[1].tensor)
        .unwrap();
    let close = |a: &Tensor, b: &Tensor| {
        let d = (a - b)
            .unwrap()
            .abs()
            .unwrap()
            .max_all()
            .unwrap()
            .to_scalar::<f64>()
            .unwrap();
        assert!(d < 1e-12, "{d}");
    };
    close(&forwarded.y, &expected);
    let errors = Errors {
        x: &x,
        y: &forwarded.y,
        kept: &forwarded.kept,
        grad_y: &g,
        output_error: None,
        target: None,
        losses: None,
        want_grad_x: true,
        want_grads: true,
    };
    let grads = rule.backward(&call(), &state, &errors).unwrap();
    close(&grads.grad_x.unwrap(), &g.matmul(w).unwrap());
    close(&grads.grads[0].1, &g.t().unwrap().matmul(&x).unwrap());
    close(&grads.grads[1].1, &g.sum(0).unwrap());
    assert_eq!(
        rule.init(7, &Device::Cpu, DType::F64).unwrap()[0]
            .tensor
            .to_vec2::<f64>()
            .unwrap(),
        w.to_vec2::<f64>().unwrap()
    );
}

#[test]
fn an_unknown_rule_names_the_nearest_and_the_folders() {
    let error = registry().get("backprob").unwrap_err();
    assert_eq!(error.code as i32, 4);
    let hint = error.hint.unwrap();
    assert!(
        hint.contains("`backprop`") && hint.contains("searched"),
        "{hint}"
    );
}
