//! Files of several layers trained on every batch together, each on the output of
//! the one below as it is after its own step; then a classifier on top.

use crate::Result;
use crate::golden::{Checks, File};
use crate::network::{TestNetwork, batch_norm, conv, layer, layer_block, max_pool, relu};
use biorule::config::{BlockPlan, Drive, LayerPlan, Loss, MapPlan, OptimizerPlan, ParamValue};
use biorule::data::Answers;
use biorule::train::loss::score;
use biorule::train::optimizer::Optimizer;
use candle_core::{DType, Tensor};

use super::{BIAS, MEAN, VAR, WEIGHT, convergence_limit, limit};

const DTYPE: DType = DType::F32;

/// Names of the layers in the file, and of their rates.
const LAYERS: [(&str, &str); 3] = [
    ("conv1", "lr_conv"),
    ("conv2", "lr_conv"),
    ("lin", "lr_lin"),
];

pub fn run(f: &File, checks: &mut Checks) -> Result<()> {
    let mut stack = stack(f)?;
    unsupervised(f, &mut stack, checks)?;
    supervised(f, &mut stack, checks)?;
    for (block, (name, _)) in stack.iter().zip(LAYERS) {
        for (short, full) in [("w", WEIGHT), ("bn_mean", MEAN), ("bn_var", VAR)] {
            let golden = format!("{name}_{short}");
            let got = block.tensor(full)?;
            checks.compare(&golden, &got, &f.tensor(&golden)?, limit(DTYPE))?;
        }
    }
    Ok(())
}

/// Each layer as a network of its own, since each learns before the next one looks.
fn stack(f: &File) -> Result<Vec<TestNetwork>> {
    let plain = |plan| layer_block("bio", plan);
    let plans = [
        BlockPlan {
            activation: Some(relu()),
            pool: Some(max_pool(2)),
            ..plain(rule_layer(f, "conv1", "conv_params")?)
        },
        BlockPlan {
            activation: Some(relu()),
            ..plain(rule_layer(f, "conv2", "conv_params")?)
        },
        BlockPlan {
            flatten: true,
            activation: Some(relu()),
            ..plain(rule_layer(f, "lin", "linear_params")?)
        },
    ];
    let mut x = f.tensor("x1")?;
    let mut stack = Vec::new();
    for (plan, (name, _)) in plans.into_iter().zip(LAYERS) {
        let mut block = TestNetwork::build(&[plan], &x.dims()[1..], DTYPE)?;
        block.train(&["bio"], Drive::Local);
        block.set(&[(WEIGHT, f.tensor(&format!("{name}_w0"))?)])?;
        x = block.evaluate(&x)?;
        stack.push(block);
    }
    Ok(stack)
}

fn rule_layer(f: &File, name: &str, params: &str) -> Result<LayerPlan> {
    let w = f.tensor(&format!("{name}_w0"))?;
    let map = match w.dims() {
        [_, _, r, s] => conv([*r, *s]),
        _ => MapPlan::Dense,
    };
    let given = f.json(params)?;
    let number = |key: &str| {
        given[key]
            .as_f64()
            .ok_or(format!("no `{key}` in `{params}`"))
    };
    let params = [
        ("lebesgue_p", ParamValue::Float(number("lebesgue_p")?)),
        (
            "ranking_param",
            ParamValue::Int(number("ranking_param")? as i64),
        ),
        ("delta", ParamValue::Float(number("delta")?)),
    ];
    Ok(layer("krotov", map, w.dim(0)?, &params))
}

fn unsupervised(f: &File, stack: &mut [TestNetwork], checks: &mut Checks) -> Result<()> {
    let mut convergence = Vec::new();
    for b in 1..=f.count("batches")? {
        let mut x = f.tensor(&format!("x{b}"))?;
        for (block, (_, rates)) in stack.iter_mut().zip(LAYERS) {
            block.clock.local_rate = Some(f.values(rates)?[b - 1]);
            block.learn(&x)?;
            convergence.push(block.metric("convergence")?);
            x = block.evaluate(&x)?;
        }
        let golden = format!("hidden_after{b}");
        checks.compare(&golden, &x, &f.tensor(&golden)?, limit(DTYPE))?;
    }
    let want = f.values("convergence")?;
    checks.compare_values("convergence", &convergence, &want, convergence_limit(DTYPE));
    Ok(())
}

/// Output of the whole stack.
fn hidden(stack: &mut [TestNetwork], x: Tensor) -> Result<Tensor> {
    stack.iter_mut().try_fold(x, |x, block| block.evaluate(&x))
}

fn supervised(f: &File, stack: &mut [TestNetwork], checks: &mut Checks) -> Result<()> {
    let labels = Answers::Classes(f.tensor("labels")?.to_dtype(DType::U32)?);
    let mut classifier = classifier(f)?;
    let (lr, momentum) = (sgd(f, "lr")?, sgd(f, "momentum")?);
    let plan = OptimizerPlan::Sgd {
        lr,
        momentum,
        weight_decay: 0.0,
        decoupled_decay: 0.0,
    };
    classifier.start();
    let mut optimizer = Optimizer::new(&plan, 0.0, &classifier.network.tensors())?;
    let mut s = 0;
    while f.has(&format!("sup_logits{}", s + 1)) {
        s += 1;
        let x = hidden(stack, f.tensor(&format!("x{s}"))?)?;
        let mut loss = 0.0;
        let step = classifier.step(&x, |y| {
            let scored = score(Loss::CrossEntropy, y, &labels)?;
            let sum = scored.sums.flatten_all()?.get(0)?.to_dtype(DType::F64)?;
            loss = sum.to_scalar::<f64>()? / y.dim(0)? as f64;
            Ok(scored.grad)
        })?;
        optimizer.step(step.grads, lr)?;
        let mut compare = |name: &str, got: &Tensor| {
            let golden = format!("{name}{s}");
            checks.compare(&golden, got, &f.tensor(&golden)?, limit(DTYPE))
        };
        compare("sup_logits", &step.y)?;
        compare("sup_loss", &Tensor::new(&[loss], step.y.device())?)?;
        compare("cls_w_after", &classifier.tensor(WEIGHT)?)?;
        compare("cls_b_after", &classifier.tensor(BIAS)?)?;
    }
    let mut compare =
        |golden: &str, got: &Tensor| checks.compare(golden, got, &f.tensor(golden)?, limit(DTYPE));
    compare("adapter_bn_mean", &classifier.tensor("norm.running_mean")?)?;
    compare("adapter_bn_var", &classifier.tensor("norm.running_var")?)?;
    let last = f.tensor(&format!("x{}", f.count("batches")?))?;
    let logits = classifier.evaluate(&hidden(stack, last)?)?;
    compare("eval_logits", &logits)
}

/// Batch normalisation without gain and shift, then a linear map.
fn classifier(f: &File) -> Result<TestNetwork> {
    let (w, b) = (f.tensor("cls_w0")?, f.tensor("cls_b0")?);
    let (classes, inputs) = w.dims2()?;
    let plan = LayerPlan {
        bias: true,
        ..layer("backprop", MapPlan::Dense, classes, &[])
    };
    let blocks = [BlockPlan {
        norm: Some(batch_norm(false)),
        ..layer_block("classifier", plan)
    }];
    let mut driven = TestNetwork::build(&blocks, &[inputs], DTYPE)?;
    driven.train(&["classifier"], Drive::Gradient);
    driven.set(&[(WEIGHT, w), (BIAS, b)])?;
    Ok(driven)
}

/// A number of the metadata `optimizer`: `SGD lr=0.05 momentum=0.9`.
fn sgd(f: &File, key: &str) -> Result<f64> {
    let mut words = f.text("optimizer")?.split([' ', ',']);
    let found = words.find_map(|w| w.strip_prefix(key)?.strip_prefix('=')?.parse().ok());
    Ok(found.ok_or_else(|| format!("no `{key}` in `optimizer`"))?)
}
