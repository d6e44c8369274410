//! A whole network of the real backpropagation plugin beside Candle's autograd, in float64:
//! convolutions, batch norm, activations, average pooling, a read-out, cross-entropy.

use biorule::config::{ActivationPlan, BlockPlan, Drive, MapPlan, PoolKind, PoolPlan};
use biorule::data::Answers;
use biorule::train::loss::score;
use biorule_tests::network::{TestNetwork, batch_norm, layer, layer_block};
use biorule_tests::numbers::{noise, values};
use biorule_tests::{Result, network};
use candle_core::{DType, Device, Tensor, Var};

const TOLERANCE: f64 = 1e-11;

fn with_bias(mut block: BlockPlan) -> BlockPlan {
    if let Some(layer) = &mut block.layer {
        layer.bias = true;
    }
    block
}

/// Two convolutions, the second strided, and a dense layer.
fn blocks() -> Vec<BlockPlan> {
    let conv = |stride: usize| match network::conv([3, 3]) {
        MapPlan::Conv {
            kernel,
            dilation,
            groups,
            padding_mode,
            ..
        } => MapPlan::Conv {
            kernel,
            stride: [stride; 2],
            padding: [1; 4],
            dilation,
            groups,
            padding_mode,
        },
        dense => dense,
    };
    let first = BlockPlan {
        norm: Some(batch_norm(true)),
        activation: Some(ActivationPlan::Tanh { gain: 1.0 }),
        pool: Some(PoolPlan {
            kind: PoolKind::Avg,
            kernel: [2, 2],
            stride: [2, 2],
            padding: [0, 0],
            count_include_pad: true,
        }),
        ..layer_block("first", layer("backprop", conv(1), 4, &[]))
    };
    let second = BlockPlan {
        norm_inner: Some(batch_norm(true)),
        activation: Some(ActivationPlan::Relu),
        ..layer_block("second", layer("backprop", conv(2), 6, &[]))
    };
    let head = BlockPlan {
        flatten: true,
        ..layer_block("head", layer("backprop", MapPlan::Dense, 10, &[]))
    };
    [first, second, head].into_iter().map(with_bias).collect()
}

/// The variables of Candle's graph, by the end of their names.
struct Variables(Vec<(String, Var)>);

impl Variables {
    fn get(&self, name: &str) -> &Tensor {
        let mut found = self.0.iter().filter(|(n, _)| n.ends_with(name));
        let (_, variable) = found.next().unwrap_or_else(|| panic!("no `{name}`"));
        assert!(found.next().is_none(), "several end in `{name}`");
        variable.as_tensor()
    }
    fn affine(&self, x: &Tensor, norm: &str) -> candle_core::Result<Tensor> {
        let axes = [0usize, 2, 3];
        let n = axes.iter().map(|&a| x.dims()[a]).product::<usize>() as f64;
        let mean = |t: &Tensor| t.sum_keepdim(axes.to_vec())? / n;
        let centred = x.broadcast_sub(&mean(x)?)?;
        let deviation = (mean(&centred.sqr()?)? + 1e-5)?.sqrt()?;
        let gain = self.get(&format!("{norm}.weight")).reshape((1, (), 1, 1))?;
        let shift = self.get(&format!("{norm}.bias")).reshape((1, (), 1, 1))?;
        let y = centred.broadcast_div(&deviation)?;
        y.broadcast_mul(&gain)?.broadcast_add(&shift)
    }
    fn conv(&self, x: &Tensor, block: &str, stride: usize) -> candle_core::Result<Tensor> {
        let bias = self
            .get(&format!("{block}.layer.bias"))
            .reshape((1, (), 1, 1))?;
        let w = self.get(&format!("{block}.layer.weight"));
        x.conv2d(w, 1, stride, 1, 1)?.broadcast_add(&bias)
    }
    fn logits(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let y = self.conv(&self.affine(x, "first.norm")?, "first", 1)?;
        let y = y.tanh()?.avg_pool2d(2)?;
        let y = self.affine(&self.conv(&y, "second", 2)?, "second.norm_inner")?;
        let y = y.relu()?.flatten_from(1)?;
        let y = y.matmul(&self.get("head.layer.weight").t()?)?;
        y.broadcast_add(self.get("head.layer.bias"))
    }
}

#[test]
fn a_network_of_the_backprop_plugin_has_candles_gradients() -> Result<()> {
    let (blocks, dims) = (blocks(), [2, 6, 6]);
    let mut ours = TestNetwork::build(&blocks, &dims, DType::F64)?;
    ours.train(&["first", "second", "head"], Drive::Gradient);
    ours.start();
    let learning = ours.network.tensors().into_iter().filter(|t| t.learns);
    let variables =
        learning.map(|t| Ok((t.name.to_string(), Var::from_tensor(&t.tensor.copy()?)?)));
    let variables = Variables(variables.collect::<Result<_>>()?);
    assert_eq!(variables.0.len(), 10, "weights, biases, gains and shifts");

    let x = Var::from_tensor(&noise(1, &[5, 2, 6, 6], DType::F64)?)?;
    let labels = Tensor::new(&[3u32, 9, 0, 3, 5], &Device::Cpu)?;
    let logits = variables.logits(&x)?;
    let right = logits.gather(&labels.unsqueeze(1)?, 1)?.squeeze(1)?;
    let loss = (logits.log_sum_exp(1)? - right)?.mean_all()?;
    let candle = loss.backward()?;

    let out = ours.step(&x, |y| {
        let scored = score(
            biorule::config::Loss::CrossEntropy,
            y,
            &Answers::Classes(labels.clone()),
        )?;
        Ok(scored.grad)
    })?;
    let same = |what: &str, ours: &Tensor, theirs: &Tensor| -> Result<()> {
        let (a, b) = (values(ours)?, values(theirs)?);
        assert_eq!(a.len(), b.len(), "{what}");
        let largest = b.iter().fold(0.0f64, |m, v| m.max(v.abs()));
        assert!(largest > 0.0, "{what}: the reference is zero everywhere");
        for (a, b) in a.iter().zip(b) {
            assert!(
                (a - b).abs() <= TOLERANCE * largest.max(1.0),
                "{what}: {a} {b}"
            );
        }
        Ok(())
    };
    same("output", &out.y, &logits)?;
    let at_input = candle
        .get(x.as_tensor())
        .ok_or("no gradient at the input")?;
    same("input", &out.grad_x, at_input)?;
    assert_eq!(out.grads.len(), variables.0.len());
    for (name, grad) in &out.grads {
        let theirs = candle.get(variables.get(name));
        same(name, grad, theirs.ok_or("no gradient")?)?;
    }
    Ok(())
}
