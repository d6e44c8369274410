//! The three maps of a layer, called as rules call them: convolutions with zero
//! and reflect padding, depthwise convolutions of DARTS cells (Liu et al. 2019),
//! and the dense read-out.

use candle_core::Tensor;
use serde_json::{Value, json};

use super::super::case::{Bench, Case, Cost, Named, Work, noise};
use super::layers::{BATCHES, LAYERS};
use crate::Result;
use crate::nn::LayerMap;
use crate::ops::{Conv, PadMode};

/// Agreement of two sums of some thousand products in `f32`.
const TOLERANCE: f64 = 1e-5;

/// What is computed of a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    Forward,
    Weight,
    Input,
    /// Both gradients, as backpropagation asks for them.
    Backward,
}

impl Use {
    const EACH: [Self; 3] = [Self::Forward, Self::Weight, Self::Input];

    fn word(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::Weight => "weight",
            Self::Input => "input",
            Self::Backward => "backward",
        }
    }
}

/// A map with a batch.
struct Mapped {
    map: LayerMap,
    what: Use,
    x: Tensor,
    w: Tensor,
    g: Tensor,
    /// Whether memory decides, not arithmetic.
    streams: bool,
}

impl Mapped {
    fn compute(&self) -> Result<Named> {
        let (map, x, w, g) = (&self.map, &self.x, &self.w, &self.g);
        let named = |name: &str, t: Tensor| (name.to_owned(), t);
        Ok(match self.what {
            Use::Forward => vec![named("y", map.forward(x, w)?)],
            Use::Weight => vec![named("gw", map.correlate(x, g)?)],
            Use::Input => vec![named("gx", map.feedback(g, w)?)],
            Use::Backward => vec![
                named("gx", map.feedback(g, w)?),
                named("gw", map.correlate(x, g)?),
            ],
        })
    }
}

impl Work for Mapped {
    fn inputs(&self) -> Result<Named> {
        let of = |name: &str, t: &Tensor| (name.to_owned(), t.clone());
        Ok(vec![of("x", &self.x), of("w", &self.w), of("g", &self.g)])
    }
    fn results(&mut self) -> Result<Named> {
        self.compute()
    }
    fn call(&mut self) -> Result<()> {
        self.compute().map(drop)
    }
    fn cost(&self) -> Cost {
        let (x, w, g) = (&self.x, &self.w, &self.g);
        let products = if self.what == Use::Backward { 2.0 } else { 1.0 };
        if self.streams {
            let moved = x.elem_count() + w.elem_count() + g.elem_count();
            return Cost {
                flop: 0.0,
                bytes: 4.0 * moved as f64,
            };
        }
        Cost {
            flop: products * 2.0 * (g.elem_count() * self.map.fan_in()) as f64,
            bytes: 0.0,
        }
    }
}

fn case(name: String, map: LayerMap, what: Use, batch: usize, streams: bool) -> Case {
    let (torch, params) = told(&map, what);
    let make = move |bench: &Bench<'_>| -> Result<Box<dyn Work>> {
        let device = &bench.device;
        let with_batch = |dims: Vec<usize>| [vec![batch], dims].concat();
        let scale = 1.0 / (map.fan_in() as f64).sqrt();
        Ok(Box::new(Mapped {
            x: noise(1, &with_batch(map.input_dims()), device)?,
            w: (noise(2, &map.weight_dims(), device)? * scale)?,
            g: noise(3, &with_batch(map.output_dims()), device)?,
            map: map.clone(),
            what,
            streams,
        }))
    };
    Case {
        name,
        make: Box::new(make),
        torch,
        params,
        tolerance: TOLERANCE,
    }
}

/// The case on the other side and what it has to know.
fn told(map: &LayerMap, what: Use) -> (&'static str, Value) {
    match map {
        LayerMap::Dense { .. } => ("dense", json!({"use": what.word()})),
        LayerMap::Conv { geometry: g, .. } => (
            "conv",
            json!({
                "use": what.word(), "stride": g.stride, "padding": g.padding[0],
                "dilation": g.dilation, "groups": g.groups, "reflect": g.pad_mode == PadMode::Reflect,
            }),
        ),
    }
}

/// A square convolution, the same number of rows and columns around.
fn convolution(
    channels: [usize; 2],
    [kernel, stride, dilation, padding, groups]: [usize; 5],
    mode: PadMode,
    size: usize,
) -> Option<LayerMap> {
    let geometry = Conv {
        channels: channels[0],
        out: channels[1],
        kernel: [kernel; 2],
        stride: [stride; 2],
        padding: [padding; 4],
        dilation: [dilation; 2],
        groups,
        pad_mode: mode,
    };
    let output = geometry.out_size(size, size).ok()?.into();
    Some(LayerMap::Conv {
        geometry,
        input: [size; 2],
        output,
    })
}

/// `conv-{forward,weight,input}-l{1,2,3}-b{10,64}`, and `…-reflect-…` with the
/// padding of the original.
pub fn convolutions() -> Vec<Case> {
    let mut cases = Vec::new();
    for (mode, word) in [(PadMode::Zeros, ""), (PadMode::Reflect, "reflect-")] {
        for layer in LAYERS {
            let options = [layer.kernel, 1, 1, layer.padding, 1];
            let channels = [layer.channels, layer.out];
            let Some(map) = convolution(channels, options, mode, layer.size) else {
                continue;
            };
            for (batch, what) in BATCHES.iter().flat_map(|b| Use::EACH.map(|u| (*b, u))) {
                let name = format!("conv-{}-{word}{}-b{batch}", what.word(), layer.name);
                cases.push(case(name, map.clone(), what, batch, false));
            }
        }
    }
    cases
}

/// `depthwise-…-{forward,backward}`: 36 channels, 32x32, batch 64.
pub fn depthwise() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, kernel, stride, dilation) in [
        ("3x3", 3, 1, 1),
        ("5x5", 5, 1, 1),
        ("3x3-dil2", 3, 1, 2),
        ("5x5-dil2", 5, 1, 2),
        ("3x3-stride2", 3, 2, 1),
    ] {
        let options = [kernel, stride, dilation, dilation * (kernel / 2), 36];
        let Some(map) = convolution([36, 36], options, PadMode::Zeros, 32) else {
            continue;
        };
        for what in [Use::Forward, Use::Backward] {
            let name = format!("depthwise-{name}-{}", what.word());
            cases.push(case(name, map.clone(), what, 64, false));
        }
    }
    cases
}

/// `dense-{forward,weight,input}-b{10,64}-24576x10`: the read-out of the
/// three-layer network, whose weight no cache keeps.
pub fn dense() -> Vec<Case> {
    let map = LayerMap::Dense {
        inputs: 24576,
        outputs: 10,
    };
    let each = BATCHES.iter().flat_map(|b| Use::EACH.map(|u| (*b, u)));
    each.map(|(batch, what)| {
        let name = format!("dense-{}-b{batch}-24576x10", what.word());
        case(name, map.clone(), what, batch, true)
    })
    .collect()
}
