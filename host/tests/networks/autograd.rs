//! Our backward passes beside Candle's autograd, in float64, wherever Candle's is
//! right; and, at the end, the places where it is not, which is why ours exist.
//!
//! `gradients.rs` holds both to finite differences; this is the second witness,
//! exact to rounding. Candle's convolution knows one stride, padding and dilation
//! for both axes; everything here keeps to that.

use biorule::config::plan::*;
use biorule::nn::{Clock, Network, Pass};
use biorule::ops::loss;
use candle_core::{DType, Device, Result, Tensor, Var};

use crate::support::*;

/// Rounding of a sum of a few hundred products.
const TOLERANCE: f64 = 1e-12;

/// The network's tensors as Candle variables, by name, and its input.
struct Reference {
    x: Var,
    variables: Vec<(String, Var)>,
}

impl Reference {
    fn of(network: &Network, x: &Tensor) -> Self {
        let learning = network.tensors().into_iter().filter(|t| t.learns);
        Self {
            x: Var::from_tensor(x).unwrap(),
            variables: learning
                .map(|t| (t.name.to_string(), Var::from_tensor(&t.tensor).unwrap()))
                .collect(),
        }
    }
    /// The variable whose name ends in `name`.
    fn get(&self, name: &str) -> &Tensor {
        let mut found = self.variables.iter().filter(|(n, _)| n.ends_with(name));
        let (_, variable) = found.next().unwrap_or_else(|| panic!("no `{name}`"));
        assert!(found.next().is_none(), "several end in `{name}`");
        variable.as_tensor()
    }
}

/// `|a − b|` at most `TOLERANCE` times the largest entry of `b`, which must not be all zeros.
fn same(what: &str, ours: &Tensor, candle: &Tensor) {
    let scale = values(candle).iter().fold(0.0f64, |m, v| m.max(v.abs()));
    assert!(scale > 0.0, "{what}: the reference is zero everywhere");
    let apart = distance(ours, candle);
    assert!(
        apart <= TOLERANCE * scale.max(1.0),
        "{what}: {apart:e} apart, values up to {scale}"
    );
}

/// Output, gradient at the input and all parameter gradients of `blocks`, beside those of
/// `graph`, which builds the same function of Candle's ops.
fn check(blocks: &[BlockPlan], dims: &[usize], graph: impl Fn(&Reference) -> Result<Tensor>) {
    let mut network = build(blocks, dims, 3, DType::F64);
    train_all(&mut network);
    let x = noise(11, &[&[4], dims].concat(), DType::F64);
    let reference = Reference::of(&network, &x);
    let y = graph(&reference).unwrap();
    let c = noise(12, y.dims(), DType::F64);
    let candle = (&y * &c).unwrap().sum_all().unwrap().backward().unwrap();

    let mut pass = Pass::gradient(Clock::default()).wanting_input();
    (pass.local, pass.statistics) = (false, false);
    same("output", &network.forward_all(&mut pass, &x).unwrap(), &y);
    let count = network.len();
    let grad_x = network.backward(&mut pass, &c, 0..count).unwrap().unwrap();
    same(
        "input",
        &grad_x,
        candle.get(reference.x.as_tensor()).unwrap(),
    );
    assert_eq!(pass.gradients.len(), reference.variables.len());
    for (name, ours) in &pass.gradients {
        same(name, ours, candle.get(reference.get(name)).unwrap());
    }
}

/// `u + b` over channels.
fn add_bias(u: &Tensor, bias: &Tensor) -> Result<Tensor> {
    match u.rank() {
        4 => u.broadcast_add(&bias.reshape((1, (), 1, 1))?),
        _ => u.broadcast_add(bias),
    }
}

/// Batch statistics over all axes but the channels', eps 1e-5.
fn batch_norm(x: &Tensor) -> Result<Tensor> {
    let axes: Vec<usize> = (0..x.rank()).filter(|&a| a != 1).collect();
    let mean = |t: &Tensor| {
        let n: usize = axes.iter().map(|&a| t.dims()[a]).product();
        t.sum_keepdim(axes.clone())? / n as f64
    };
    let centred = x.broadcast_sub(&mean(x)?)?;
    let variance = mean(&centred.sqr()?)?;
    centred.broadcast_div(&(variance + 1e-5)?.sqrt()?)
}

/// One number for each channel of axis 1, fit to broadcast over `x`.
fn per_channel(x: &Tensor, t: &Tensor) -> Result<Tensor> {
    let mut dims = vec![1; x.rank()];
    dims[1] = t.elem_count();
    t.reshape(dims)
}

#[test]
fn dense_layers() {
    let mut block = empty("dense");
    block.layer = dense_layer("backprop", 5);
    check(&[block], &[7], |r| {
        add_bias(&r.x.matmul(&r.get("weight").t()?)?, r.get("bias"))
    });
}

#[test]
fn convolutions_with_stride_dilation_padding_and_groups() {
    // Kernel, stride, dilation, padding, groups, side of the image.
    for (k, s, d, p, g, side) in [
        (3, 1, 1, 1, 1, 6),
        (1, 1, 1, 0, 1, 4),
        (3, 2, 1, 1, 1, 7),
        (3, 2, 1, 1, 1, 6),
        (3, 1, 2, 2, 1, 7),
        (2, 2, 2, 1, 2, 7),
        (5, 1, 1, 2, 2, 6),
        (3, 1, 1, 0, 4, 5),
    ] {
        let mut block = empty("conv");
        block.layer = conv_layer("backprop", 8, [k, k], [p; 4], "zeros");
        if let Some(MapPlan::Conv {
            stride,
            dilation,
            groups,
            ..
        }) = block.layer.as_mut().map(|l| &mut l.map)
        {
            (*stride, *dilation, *groups) = ([s, s], [d, d], g);
        }
        check(&[block], &[4, side, side], |r| {
            let u = r.x.conv2d(r.get("weight"), p, s, d, g)?;
            add_bias(&u, r.get("bias"))
        });
    }
}

#[test]
fn batch_norm_in_training() {
    for dims in [&[3, 4, 2][..], &[5][..]] {
        let mut block = empty("norm");
        block.norm = norm(true);
        check(&[block], dims, |r| {
            let x = r.x.as_tensor();
            let y = batch_norm(x)?.broadcast_mul(&per_channel(x, r.get("weight"))?)?;
            y.broadcast_add(&per_channel(x, r.get("bias"))?)
        });
        let mut block = empty("norm");
        block.norm = norm(false);
        check(&[block], dims, |r| batch_norm(&r.x));
    }
}

#[test]
fn activations() {
    type Graph = fn(&Tensor) -> Result<Tensor>;
    let cases: [(ActivationPlan, Graph); 7] = [
        (ActivationPlan::Relu, |u| u.relu()),
        (ActivationPlan::Repu { power: 1.4 }, |u| u.relu()?.powf(1.4)),
        (ActivationPlan::Softmax { gain: 2.0 }, |u| {
            candle_nn::ops::softmax(&(u * 2.0)?, 1)
        }),
        (ActivationPlan::Exp { gain: 0.5 }, |u| (u * 0.5)?.exp()),
        (ActivationPlan::Tanh { gain: 1.5 }, |u| (u * 1.5)?.tanh()),
        (ActivationPlan::Sigmoid { gain: 3.0 }, |u| {
            candle_nn::ops::sigmoid(&(u * 3.0)?)
        }),
        // The mean over channels carries no gradient (SoftHebb, `activation.py`).
        (ActivationPlan::Triangle { power: 1.4 }, |u| {
            u.broadcast_sub(&u.mean_keepdim(1)?.detach())?
                .relu()?
                .powf(1.4)
        }),
    ];
    for (kind, graph) in cases {
        for dims in [&[3, 2, 2][..], &[6][..]] {
            let mut block = empty("act");
            block.activation = Some(kind.clone());
            check(&[block], dims, |r| graph(&r.x));
        }
    }
}

#[test]
fn scalings() {
    let mut block = empty("scale");
    block.divide_by_max = true;
    check(&[block.clone()], &[3, 2, 2], |r| {
        let largest = r.x.flatten_from(1)?.max_keepdim(1)?;
        r.x.broadcast_div(&largest.reshape(((), 1, 1, 1))?)
    });
    block.divide_by_max = false;
    block.unit_length = true;
    check(&[block], &[3, 2, 2], |r| {
        let length = r.x.sqr()?.sum_keepdim(1)?.sqrt()?;
        (r.x.broadcast_div(&length)? * 10.0)?.contiguous()
    });
}

fn pool(kind: PoolKind, kernel: usize, stride: usize) -> BlockPlan {
    let mut block = empty("pool");
    block.pool = Some(PoolPlan {
        kind,
        kernel: [kernel; 2],
        stride: [stride; 2],
        padding: [0, 0],
        count_include_pad: true,
    });
    block
}

#[test]
fn average_pools_that_divide() {
    for (kernel, dims) in [(2, [2, 6, 4]), (3, [2, 6, 9]), (1, [3, 3, 2])] {
        check(&[pool(PoolKind::Avg, kernel, kernel)], &dims, |r| {
            r.x.avg_pool2d(kernel)
        });
    }
}

#[test]
fn cross_entropy() {
    let logits = Var::from_tensor(&(noise(3, &[6, 5], DType::F64) * 4.0).unwrap()).unwrap();
    let labels = Tensor::new(&[0u32, 4, 2, 2, 1, 3], &Device::Cpu).unwrap();
    let mean = candle_nn::loss::cross_entropy(&logits, &labels).unwrap();
    let candle = mean.backward().unwrap();
    let (sums, grad) = loss::cross_entropy(&logits, &labels).unwrap();
    same("gradient", &grad, candle.get(logits.as_tensor()).unwrap());
    let ours = values(&sums)[0] / 6.0;
    assert!((ours - values(&mean)[0]).abs() < TOLERANCE, "{ours}");
}

#[test]
fn mean_squared_error() {
    let y = Var::from_tensor(&noise(3, &[6, 5], DType::F64)).unwrap();
    let target = noise(4, &[6, 5], DType::F64);
    let half = (candle_nn::loss::mse(&y, &target).unwrap() * 0.5).unwrap();
    let candle = half.backward().unwrap();
    let (sums, grad) = loss::half_mse(&y, &target).unwrap();
    same("gradient", &grad, candle.get(y.as_tensor()).unwrap());
    let ours = values(&sums)[0] / 6.0;
    assert!((ours - values(&half)[0]).abs() < TOLERANCE, "{ours}");
}

#[test]
fn residual_sums_keep_both_ways() {
    let mut body = empty("body");
    body.layer = conv_layer("backprop", 3, [3, 3], [1; 4], "zeros");
    body.activation = Some(ActivationPlan::Tanh { gain: 1.0 });
    let mut block = empty("sum");
    block.residual = Some(ResidualPlan {
        blocks: vec![body],
        shortcut: Shortcut::Identity,
    });
    check(&[block], &[3, 5, 5], |r| {
        let u = r.x.conv2d(r.get("weight"), 1, 1, 1, 1)?;
        add_bias(&u, r.get("bias"))?.tanh()? + r.x.as_tensor()
    });
}

// Where Candle is wrong.

/// Gradients at the input of a sum of a pool's output: ours, and Candle's, which may refuse.
fn pooled(
    block: BlockPlan,
    dims: &[usize],
    graph: impl Fn(&Tensor) -> Result<Tensor>,
) -> (Vec<f64>, Result<Vec<f64>>) {
    let mut network = build(&[block], dims, 3, DType::F64);
    train_all(&mut network);
    let x = Var::from_tensor(&noise(11, &[&[1], dims].concat(), DType::F64)).unwrap();
    let mut pass = Pass::gradient(Clock::default()).wanting_input();
    let y = network.forward_all(&mut pass, &x).unwrap();
    let ones = y.ones_like().unwrap();
    let ours = network.backward(&mut pass, &ones, 0..1).unwrap().unwrap();
    let candle = graph(&x).and_then(|theirs| {
        assert!(distance(&y, &theirs) < TOLERANCE, "the outputs agree");
        let gradients = theirs.sum_all()?.backward()?;
        Ok(values(gradients.get(x.as_tensor()).unwrap()))
    });
    (values(&ours), candle)
}

const MENDED: &str = "Candle's gradient of this pool has changed: if it is right now, say so in \
     docs/architecture.md (\"Backward is explicit\") and move the case to the ones compared above";

/// Candle 0.11.1 multiplies the gradient of a maximum by the share of the window that is
/// the maximum: 1/k² where it is unique.
#[test]
fn candle_scales_the_gradient_of_a_maximum() {
    for k in [2usize, 3] {
        let dims = [2, 6, 6];
        let (ours, candle) = pooled(pool(PoolKind::Max, k, k), &dims, |x| x.max_pool2d(k));
        let windows = (2 * (6 / k) * (6 / k)) as f64;
        assert_eq!(
            ours.iter().sum::<f64>(),
            windows,
            "one entry of each window"
        );
        let candle = candle.unwrap();
        for (ours, theirs) in ours.iter().zip(&candle) {
            let scaled = ours / (k * k) as f64;
            assert!((theirs - scaled).abs() < TOLERANCE, "{theirs}: {MENDED}");
        }
    }
}

/// Candle 0.11.1 spreads the gradient of an average over the whole image, remainder included.
#[test]
fn candle_spreads_the_gradient_of_an_average_over_the_remainder() {
    let (ours, candle) = pooled(pool(PoolKind::Avg, 2, 2), &[1, 5, 5], |x| x.avg_pool2d(2));
    let candle = candle.unwrap();
    let last_row = |v: &[f64]| v[20..].iter().map(|v| v.abs()).sum::<f64>();
    assert_eq!(last_row(&ours), 0.0, "no window reaches the last row");
    assert!(last_row(&candle) > 0.0, "{MENDED}");
    let apart = ours.iter().zip(&candle).map(|(a, b)| (a - b).abs());
    assert!(apart.fold(0.0, f64::max) > 0.1, "{MENDED}");
}

/// Candle 0.11.1 has no gradient of pools that overlap.
#[test]
fn candle_refuses_pools_that_overlap() {
    for kind in [PoolKind::Max, PoolKind::Avg] {
        let (ours, candle) = pooled(pool(kind, 3, 2), &[1, 5, 5], |x| match kind {
            PoolKind::Max => x.max_pool2d_with_stride(3, 2),
            PoolKind::Avg => x.avg_pool2d_with_stride(3, 2),
        });
        let total: f64 = ours.iter().sum();
        assert!((total - 4.0).abs() < TOLERANCE, "four windows: {total}");
        let refused = candle.expect_err(MENDED).to_string();
        assert!(refused.contains("backward not supported"), "{refused}");
    }
}
