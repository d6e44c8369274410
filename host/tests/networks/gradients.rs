//! Every gradient of the modules against central differences in float64.

use biorule::config::plan::*;
use biorule::nn::{Clock, Network, Pass};
use candle_core::{DType, Device, Tensor};

use crate::support::differences::{close, differences};
use crate::support::*;

/// `Σ c ∘ network(x)` for fixed random `c`.
fn objective(network: &mut Network, x: &Tensor, c: &Tensor) -> f64 {
    let mut pass = Pass::inference();
    pass.clock = clock();
    let y = network.forward_all(&mut pass, x).unwrap();
    (y * c).unwrap().sum_all().unwrap().to_scalar().unwrap()
}

fn clock() -> Clock {
    Clock {
        seed: 3,
        step: 5,
        ..Clock::default()
    }
}

/// Gradients of every parameter and of the input.
fn check(blocks: &[BlockPlan], dims: &[usize]) {
    let mut network = build(blocks, dims, 3, DType::F64);
    train_all(&mut network);
    check_network(&mut network, dims);
}

fn check_network(network: &mut Network, dims: &[usize]) {
    let mut shape = vec![4];
    shape.extend(dims);
    let x = noise(11, &shape, DType::F64);
    let mut pass = Pass::gradient(clock()).wanting_input();
    (pass.local, pass.statistics) = (false, false);
    let y = network.forward_all(&mut pass, &x).unwrap();
    let c = noise(12, y.dims(), DType::F64);
    let blocks = network.len();
    let grad_x = network.backward(&mut pass, &c, 0..blocks).unwrap().unwrap();
    assert_eq!(pass.depth(), 0, "the tape must be used up");
    let numeric = differences(&x, || objective(network, &x, &c));
    close("input", &values(&grad_x), &numeric);
    let learning: Vec<_> = network.tensors().into_iter().filter(|t| t.learns).collect();
    for named in &learning {
        let (_, grad) = pass
            .gradients
            .iter()
            .find(|(n, _)| *n == named.name)
            .unwrap_or_else(|| panic!("no gradient for {}", named.name));
        let numeric = differences(&named.tensor, || objective(network, &x, &c));
        close(&named.name, &values(grad), &numeric);
    }
    assert_eq!(pass.gradients.len(), learning.len());
}

fn conv(kernel: [usize; 2], stride: [usize; 2], padding: [usize; 4], mode: &str) -> BlockPlan {
    let mut block = empty("conv");
    block.layer = conv_layer("backprop", 4, kernel, padding, mode);
    if let Some(LayerPlan {
        map: MapPlan::Conv { stride: s, .. },
        ..
    }) = &mut block.layer
    {
        *s = stride;
    }
    block
}

#[test]
fn convolutions_of_every_padding_mode() {
    for mode in ["zeros", "reflect", "replicate", "circular"] {
        check(&[conv([3, 2], [1, 1], [1, 2, 0, 1], mode)], &[2, 5, 4]);
    }
}

#[test]
fn strided_dilated_and_grouped_convolutions() {
    check(&[conv([3, 3], [2, 1], [1, 1, 1, 1], "zeros")], &[2, 6, 5]);
    let mut block = conv([2, 3], [1, 2], [2, 2, 2, 2], "reflect");
    if let Some(LayerPlan {
        map: MapPlan::Conv {
            dilation, groups, ..
        },
        ..
    }) = &mut block.layer
    {
        *dilation = [2, 2];
        *groups = 2;
    }
    check(&[block], &[4, 6, 7]);
}

#[test]
fn pools_with_overlap_and_padding() {
    for (kind, count_include_pad) in [
        (PoolKind::Max, true),
        (PoolKind::Avg, true),
        (PoolKind::Avg, false),
    ] {
        for (kernel, stride, padding) in [
            ([4, 4], [2, 2], [1, 1]),
            ([3, 2], [1, 2], [1, 0]),
            ([2, 2], [2, 2], [0, 0]),
            ([0, 0], [1, 1], [0, 0]),
            // Over the whole of one axis.
            ([0, 3], [1, 2], [0, 1]),
        ] {
            let mut block = empty("pool");
            block.pool = Some(PoolPlan {
                kind,
                kernel,
                stride,
                padding,
                count_include_pad,
            });
            check(&[block], &[2, 7, 6]);
        }
    }
}

#[test]
fn batch_norm_in_training_and_frozen() {
    for affine in [true, false] {
        let mut block = empty("norm");
        block.norm = norm(affine);
        check(std::slice::from_ref(&block), &[3, 4, 2]);
        check(std::slice::from_ref(&block), &[5]);
        let mut network = build(&[block], &[3, 4, 2], 3, DType::F64);
        check_network(&mut network, &[3, 4, 2]);
    }
}

#[test]
fn activations() {
    let kinds = [
        ActivationPlan::Relu,
        ActivationPlan::Repu { power: 1.4 },
        ActivationPlan::Softmax { gain: 2.0 },
        ActivationPlan::Exp { gain: 0.5 },
        ActivationPlan::Tanh { gain: 1.5 },
        ActivationPlan::Sigmoid { gain: 3.0 },
    ];
    for kind in kinds {
        for dims in [&[3, 2, 2][..], &[6][..]] {
            let mut block = empty("act");
            block.activation = Some(kind.clone());
            check(&[block], dims);
        }
    }
}

/// The triangle's mean carries no gradient, so the differences hold it fixed.
#[test]
fn triangle_with_a_detached_mean() {
    for power in [1.0, 0.7, 1.4] {
        let kind = ActivationPlan::Triangle { power };
        let u = noise(1, &[2, 5, 3, 2], DType::F64);
        let g = noise(2, &[2, 5, 3, 2], DType::F64);
        let ours = biorule::ops::activation::activate_backward(&kind, &u, &g).unwrap();
        let mean = u.mean_keepdim(1).unwrap();
        let centred = values(&u.broadcast_sub(&mean).unwrap());
        let f = |c: f64| c.max(0.0).powf(power);
        for ((ours, c), g) in values(&ours).iter().zip(&centred).zip(values(&g)) {
            let numeric = (f(c + 1e-7) - f(c - 1e-7)) / 2e-7 * g;
            assert!((ours - numeric).abs() < 1e-5, "{ours} {numeric} at {c}");
        }
        let y = biorule::ops::activation::activate(&kind, &u).unwrap();
        for (y, c) in values(&y).iter().zip(&centred) {
            assert!((y - f(*c)).abs() < 1e-12);
        }
    }
}

#[test]
fn triangle_power_below_one_is_finite_at_zero() {
    let kind = ActivationPlan::Triangle { power: 0.7 };
    let u = Tensor::zeros((1, 4), DType::F32, &Device::Cpu).unwrap();
    let g = u.ones_like().unwrap();
    let back = biorule::ops::activation::activate_backward(&kind, &u, &g).unwrap();
    assert!(values(&back).iter().all(|v| *v == 0.0));
}

#[test]
fn scaling_and_dropout() {
    let mut block = empty("scale");
    block.divide_by_max = true;
    check(&[block.clone()], &[3, 2, 2]);
    block.divide_by_max = false;
    block.unit_length = true;
    check(&[block.clone()], &[3, 2, 2]);
    block.unit_length = false;
    block.flatten = true;
    block.dropout = 0.4;
    check(&[block], &[3, 4, 2]);
}

fn deep() -> Vec<BlockPlan> {
    let mut first = conv([3, 3], [1, 1], [1; 4], "reflect");
    first.name = "first".into();
    first.norm = norm(true);
    first.activation = Some(ActivationPlan::Tanh { gain: 1.0 });
    first.pool = Some(PoolPlan {
        kind: PoolKind::Avg,
        kernel: [2, 2],
        stride: [2, 2],
        padding: [0, 0],
        count_include_pad: true,
    });
    let mut inner = conv([3, 3], [1, 1], [1; 4], "zeros");
    inner.name = "inner".into();
    inner.norm_inner = norm(true);
    inner.activation = Some(ActivationPlan::Sigmoid { gain: 1.0 });
    let mut last_inner = conv([3, 3], [2, 2], [1; 4], "zeros");
    last_inner.name = "down".into();
    if let Some(layer) = &mut last_inner.layer {
        layer.out = 6;
    }
    let mut sum = empty("sum");
    sum.residual = Some(ResidualPlan {
        blocks: vec![inner, last_inner],
        shortcut: Shortcut::SubsamplePad,
    });
    sum.activation = Some(ActivationPlan::Tanh { gain: 1.0 });
    let mut same = empty("same");
    let mut body = conv([1, 1], [1, 1], [0; 4], "zeros");
    body.name = "body".into();
    if let Some(layer) = &mut body.layer {
        layer.out = 6;
    }
    same.residual = Some(ResidualPlan {
        blocks: vec![body],
        shortcut: Shortcut::Identity,
    });
    let mut head = empty("head");
    head.flatten = true;
    head.dropout = 0.3;
    head.layer = dense_layer("backprop", 0);
    vec![first, sum, same, head]
}

#[test]
fn a_deep_residual_network() {
    check(&deep(), &[2, 6, 6]);
}

/// Only the listed block has gradients; what is below is neither kept nor run backward.
#[test]
fn backward_stops_where_nothing_below_learns() {
    let mut network = build(&deep(), &[2, 6, 6], 3, DType::F64);
    network.set_mode(&biorule::nn::Mode {
        blocks: vec!["head".into()],
        drive: Some(Drive::Gradient),
    });
    assert_eq!(network.first_active(), 3);
    let mut pass = Pass::gradient(clock());
    let x = noise(1, &[2, 2, 6, 6], DType::F64);
    let y = network.forward_all(&mut pass, &x).unwrap();
    assert_eq!(pass.depth(), 1, "only the head's layer keeps anything");
    let none = network.backward(&mut pass, &y, 0..4).unwrap();
    assert!(none.is_none());
    let names: Vec<_> = pass.gradients.iter().map(|(n, _)| n.to_string()).collect();
    assert_eq!(
        names,
        ["blocks.head.layer.weight", "blocks.head.layer.bias"]
    );
}

/// A network of feedback alignment does not compute the true gradient, except exactly.
#[test]
fn exact_pass_replaces_every_feedback() {
    let mut blocks = deep();
    for block in &mut blocks {
        if let Some(layer) = &mut block.layer {
            layer.rule = "fa".into();
        }
    }
    let gradients = |blocks: &[BlockPlan], exact: bool| {
        let mut network = build(blocks, &[2, 6, 6], 3, DType::F64);
        train_all(&mut network);
        let mut pass = Pass::gradient(clock());
        pass.exact = exact;
        let x = noise(1, &[2, 2, 6, 6], DType::F64);
        let y = network.forward_all(&mut pass, &x).unwrap();
        network.backward(&mut pass, &y, 0..4).unwrap();
        pass.gradients
    };
    let truth = gradients(&deep(), false);
    let exact = gradients(&blocks, true);
    let aligned = gradients(&blocks, false);
    assert_eq!(truth.len(), exact.len());
    for ((name, t), (_, e)) in truth.iter().zip(&exact) {
        assert!(distance(t, e) < 1e-12, "{name}");
    }
    assert!(distance(&truth.last().unwrap().1, &aligned.last().unwrap().1) > 1e-3);
}

/// Conv-activation block on an edge of a graph.
fn on_edge(name: &str, out: usize, stride: usize) -> BlockPlan {
    let mut block = conv([3, 3], [stride, stride], [1; 4], "zeros");
    block.name = name.into();
    if let Some(layer) = &mut block.layer {
        layer.out = out;
    }
    block.activation = Some(ActivationPlan::Tanh { gain: 1.0 });
    block
}

fn node(name: &str, join: Join, from: Vec<(&str, Vec<BlockPlan>)>) -> NodePlan {
    let edge = |(source, blocks): (&str, _)| EdgePlan::new(source, blocks);
    NodePlan {
        name: name.into(),
        join,
        from: from.into_iter().map(edge).collect(),
    }
}

/// A cell: two nodes that read the input and each other, joined by a concatenation and a skip.
fn cell() -> Vec<BlockPlan> {
    let a = vec![
        ("input", vec![on_edge("one", 3, 1)]),
        ("input", vec![on_edge("two", 3, 1)]),
    ];
    let b = vec![
        ("input", vec![on_edge("three", 3, 1), on_edge("four", 3, 1)]),
        ("a", Vec::new()),
    ];
    let c = vec![
        ("a", vec![on_edge("five", 2, 2)]),
        ("b", vec![on_edge("six", 4, 2)]),
        ("input", vec![on_edge("seven", 1, 2)]),
    ];
    let graph = GraphPlan {
        nodes: vec![
            node("a", Join::Sum, a),
            node("b", Join::Sum, b),
            node("c", Join::Concat, c),
        ],
    };
    vec![BlockPlan {
        graph: Some(graph),
        ..empty("cell")
    }]
}

#[test]
fn graphs_with_sums_and_concatenations() {
    check(&cell(), &[2, 5, 4]);
}

/// Where only one edge learns, the tape still fits, and other edges get no gradients.
#[test]
fn one_edge_of_a_graph_learns() {
    for learning in ["one", "four", "six", "seven"] {
        let mut network = build(&cell(), &[2, 5, 4], 3, DType::F64);
        network.set_mode(&biorule::nn::Mode {
            blocks: vec![learning.into()],
            drive: Some(Drive::Gradient),
        });
        let x = noise(11, &[4, 2, 5, 4], DType::F64);
        let mut pass = Pass::gradient(clock());
        let y = network.forward_all(&mut pass, &x).unwrap();
        let c = noise(12, y.dims(), DType::F64);
        let blocks = network.len();
        assert!(
            network
                .backward(&mut pass, &c, 0..blocks)
                .unwrap()
                .is_none()
        );
        assert_eq!(pass.depth(), 0, "the tape must be used up");
        assert!(!pass.gradients.is_empty());
        for (name, grad) in &pass.gradients {
            assert!(name.contains(&format!(".{learning}.")), "{name}");
            let tensors = network.tensors();
            let held = tensors.iter().find(|t| t.name == *name).unwrap();
            let numeric = differences(&held.tensor, || objective(&mut network, &x, &c));
            close(name, &values(grad), &numeric);
        }
    }
}

/// One more edge changes no other edge's initial values: they follow the names.
#[test]
fn an_edge_more_initialises_no_other_anew() {
    let before = build(&cell(), &[2, 5, 4], 3, DType::F64);
    let mut wider = cell();
    let nodes = &mut wider[0].graph.as_mut().unwrap().nodes;
    let more = EdgePlan::new("input", vec![on_edge("more", 3, 1)]);
    nodes[0].from.insert(0, more);
    let after = build(&wider, &[2, 5, 4], 3, DType::F64).tensors();
    for old in before.tensors() {
        let new = after.iter().find(|t| t.name == old.name).unwrap();
        assert_eq!(values(&new.tensor), values(&old.tensor), "{}", old.name);
    }
    assert!(after.iter().any(|t| t.name.contains(".a.more.")));
}
