//! The same bits on one thread and on several, and from run to run.

use biorule_kernels::compete::{self, Outputs};
use biorule_kernels::competition::Competition;
use biorule_kernels::{Conv, PadMode, Planes, conv, dense, norm};

use crate::support::{noise, turn};

/// Every result of a few kernels, one after another.
fn everything() -> Vec<f32> {
    let mut all = Vec::new();
    let layers = [
        (Conv::square(3, 96, 5).padded(2, PadMode::Reflect), 7, 32),
        (Conv::square(96, 200, 3).padded(1, PadMode::Zeros), 3, 9),
        (
            Conv {
                groups: 6,
                ..Conv::square(6, 6, 3)
            },
            4,
            20,
        ),
    ];
    for (g, b, size) in layers {
        let (p, q) = g.out_size(size, size).unwrap();
        let (x, weight, dy) = (
            noise(1, b * g.channels * size * size),
            noise(2, g.weight_len()),
            noise(3, b * g.out * p * q),
        );
        let (mut y, mut dx, mut dw) = (dy.clone(), x.clone(), weight.clone());
        conv::forward(&g, b, size, size, &x, &weight, &mut y);
        conv::input_grad(&g, b, size, size, &dy, &weight, &mut dx);
        conv::weight_grad(&g, b, size, size, &x, &dy, &mut dw);
        all.extend([&y[..], &dx, &dw].concat());
        let (mut decay, mut activity, mut factors) = (vec![0.0; g.out], vec![0.0; g.out], dy);
        let rule = Competition::SoftKrotov { beta: 0.3 };
        let out = Outputs {
            u: &mut y,
            correlation: &mut dw,
            decay: &mut decay,
            activity: &mut activity,
            y: Some(&mut factors),
        };
        compete::step(
            &g,
            b,
            size,
            size,
            &x,
            &weight,
            None,
            false,
            &|tile| rule.apply(tile),
            out,
        );
        all.extend([&y[..], &dw, &decay, &activity, &factors].concat());
    }
    let (b, d, k) = (33, 3000, 10);
    let (x, weight, dy) = (
        noise::<f32>(5, b * d),
        noise::<f32>(6, k * d),
        noise::<f32>(7, b * k),
    );
    let (mut y, mut dw) = (dy.clone(), weight.clone());
    dense::forward((b, d, k), &x, &weight, &mut y);
    dense::weight_grad((b, d, k), &x, &dy, &mut dw);
    all.extend([y, dw].concat());
    let d = Planes::new(9, 40, 77);
    let (mut mean, mut var, mut y) = (vec![0.0; 40], vec![0.0; 40], vec![0.0; d.len()]);
    norm::batch_forward_train(
        d,
        1e-5,
        &noise(4, d.len()),
        None,
        &mut mean,
        &mut var,
        &mut y,
    );
    all.extend([mean, var, y].concat());
    all
}

#[test]
fn results_do_not_depend_on_threads() {
    let _turn = turn();
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(everything)
    };
    let one = run(1);
    let bits = |v: &[f32]| v.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    for threads in [1, 2, 3, 8] {
        assert!(bits(&run(threads)) == bits(&one), "{threads} threads");
    }
}
