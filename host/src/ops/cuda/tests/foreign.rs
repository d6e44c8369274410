//! Kernels that rules ship, whose text runs here as ours does.

use candle_core::{DType, Device, Tensor};

use super::super::emulate;
use super::{agree, values};
use crate::ops::cuda::compete::{Rivalry, compete};

const FACTORS: &str = include_str!("../../../../../plugins/softhebb/src/gpu/factors.cu");

/// `factors.cu` of the plugin `softhebb` on `u: [B, K, P, Q]`.
fn factors(u: &Tensor, rivalry: Rivalry, groups: usize) -> Tensor {
    let (b, k, p, q) = u.dims4().expect("image");
    let (kind, gain, delta, rank, overwrite) = match rivalry {
        Rivalry::Soft { gain } => (0, gain, 0.0, 1, 0),
        Rivalry::SoftKrotov { gain } => (1, gain, 0.0, 1, 0),
        Rivalry::Hard => (2, 0.0, 0.0, 1, 0),
        Rivalry::HardKrotov { rank, delta, added } => (3, 0.0, delta, rank, u64::from(!added)),
    };
    let u: Vec<f32> = u.flatten_all().and_then(|u| u.to_vec1()).expect("flat");
    let mut y = vec![f32::NAN; u.len()];
    let n = b * p * q;
    let bits = |v: f64| u64::from((v as f32).to_bits());
    let words = [
        u.as_ptr() as u64,
        y.as_mut_ptr() as u64,
        bits(gain),
        bits(delta),
        n as u64,
        k as u64,
        (p * q) as u64,
        groups as u64,
        kind,
        rank as u64,
        overwrite,
    ];
    let dims = [n.div_ceil(32) as u32, groups as u32, 32, 8];
    emulate::foreign(FACTORS, "factors", dims, &words).expect("emulation");
    Tensor::from_vec(y, (b, k, p, q), &Device::Cpu).expect("shape")
}

#[test]
fn the_competition_of_the_softhebb_plugin_is_the_hosts() {
    if !emulate::available() {
        return;
    }
    let rivalries = [
        Rivalry::Soft { gain: 4.0 },
        Rivalry::SoftKrotov { gain: 4.0 },
        Rivalry::Hard,
        Rivalry::HardKrotov {
            rank: 3,
            delta: 2.0,
            added: true,
        },
        Rivalry::HardKrotov {
            rank: 1,
            delta: 0.5,
            added: false,
        },
    ];
    for (dims, groups) in [([3, 12, 5, 7], 1), ([2, 12, 3, 3], 3), ([37, 20, 1, 1], 1)] {
        // Coarse values, so that ties occur.
        let u = (values(1, &dims, DType::F32) * 8.0)
            .and_then(|u| u.round()?.affine(0.125, 0.0))
            .expect("coarse");
        for rivalry in rivalries {
            let host = compete(rivalry, groups, &u).expect("competition").y;
            let got = factors(&u, rivalry, groups)
                .transpose(0, 1)
                .and_then(|y| y.contiguous());
            let got = got
                .and_then(|y| y.reshape(host.shape()))
                .expect("units first");
            agree(&format!("{rivalry:?} {dims:?}"), &got, &host);
        }
    }
}
