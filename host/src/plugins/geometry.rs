//! The geometry of a convolution as the boundary writes it.

use biorule_plugin_api::abi::types::{Code, RawLayer, layer};
use biorule_plugin_api::sdk;

use crate::ops::{Conv, PadMode};

const CODES: [(PadMode, Code); 4] = [
    (PadMode::Zeros, layer::PAD_ZEROS),
    (PadMode::Reflect, layer::PAD_REFLECT),
    (PadMode::Replicate, layer::PAD_REPLICATE),
    (PadMode::Circular, layer::PAD_CIRCULAR),
];

/// Writes `conv` into `raw`; channels and sizes are the layer's.
pub(super) fn write(conv: &Conv, raw: &mut RawLayer) {
    raw.kind = layer::CONV;
    (raw.kernel, raw.stride, raw.padding) = (conv.kernel, conv.stride, conv.padding);
    (raw.dilation, raw.groups) = (conv.dilation, conv.groups);
    let code = CODES.iter().find(|(mode, _)| *mode == conv.pad_mode);
    raw.pad_mode = code.map_or(layer::PAD_ZEROS, |(_, code)| *code);
}

/// The convolution of `raw`, or the number of a padding mode that there is not.
pub(super) fn read(raw: &RawLayer) -> Result<Conv, Code> {
    let mode = CODES.iter().find(|(_, code)| *code == raw.pad_mode);
    let (pad_mode, _) = *mode.ok_or(raw.pad_mode)?;
    Ok(Conv {
        channels: raw.input[0],
        out: raw.output[0],
        kernel: raw.kernel,
        stride: raw.stride,
        dilation: raw.dilation,
        padding: raw.padding,
        pad_mode,
        groups: raw.groups,
    })
}

/// The padding mode of a site that the testkit describes.
pub(super) fn pad_mode(mode: sdk::PadMode) -> PadMode {
    match mode {
        sdk::PadMode::Zeros => PadMode::Zeros,
        sdk::PadMode::Reflect => PadMode::Reflect,
        sdk::PadMode::Replicate => PadMode::Replicate,
        sdk::PadMode::Circular => PadMode::Circular,
    }
}
