//! How the network's output error reaches the input of a layer.
//!
//! | layer, layout | `B` | error at the input `x` |
//! | --- | --- | --- |
//! | dense | `[classes, D]` | `e B` |
//! | convolution, `kernel` (BioTorch) | `[groups·classes, C/groups, R, S]` | `feedback(ē, B)`, `ē` being `e` at each of the `P·Q` output positions |
//! | convolution, `full` (Nøkland 2016; webstah/dkp-gist) | `[classes, C, H, W]` | `e B` |
//!
//! With one group `kernel` is BioTorch's `[classes, C, R, S]`. With more, each group
//! has its own `classes` kernels over its own channels, which is the same set of
//! numbers, `C·R·S` for each class, and the same sum for each input channel;
//! BioTorch's own DFA fails there.
//!
//! bioflax keeps the same matrix in the layer that receives the error, transposed:
//! its `B` of layer l is this `Bᵀ` of layer l + 1.
//!
//! The map from `e` to `x` is linear and the same for all samples, so where there are
//! more samples than classes it is applied to one sample of each class, and the
//! errors are then a matrix product.

use biorule_feedback_parts::Draw;
use biorule_plugin_api::prelude::*;

/// Layout of `B` in convolutions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Layout {
    /// A kernel, the same at all positions.
    Kernel,
    /// A number of its own for each input value.
    Full,
}

impl Layout {
    pub(crate) fn of(name: &str, layer: &LayerSpec) -> Self {
        match (name, layer.kind) {
            ("full", LayerKind::Conv) => Self::Full,
            _ => Self::Kernel,
        }
    }

    /// Shape of `B`.
    pub(crate) fn shape(self, layer: &LayerSpec) -> Vec<usize> {
        match self {
            Self::Kernel => layer.weight_shape_for(layer.groups() * layer.classes()),
            Self::Full => [&[layer.classes()], layer.input_shape()].concat(),
        }
    }

    /// Shape that the initial distribution counts its fans on; BioTorch's, whatever the groups.
    fn fan_shape(self, layer: &LayerSpec) -> Vec<usize> {
        let (classes, inputs) = (layer.classes(), layer.inputs());
        match (self, layer.kind) {
            (Self::Full, _) => vec![classes, layer.input_shape().iter().product()],
            (_, LayerKind::Dense) => vec![classes, inputs],
            (_, LayerKind::Conv) => vec![classes, inputs, layer.kernel()[0], layer.kernel()[1]],
        }
    }

    /// How `B` starts, where it is stored.
    pub(crate) fn initial(self, draw: Draw, layer: &LayerSpec) -> Init {
        draw.initial(&self.fan_shape(layer))
    }

    /// `B` from the fixed stream of the layer, where it is not stored.
    pub(crate) fn generate(self, draw: Draw, cx: &Context<'_>, like: &Tensor) -> Result<Tensor> {
        let (layer, mut stream) = (cx.layer(), cx.fixed_random("feedback"));
        draw.fresh(
            &mut stream,
            like,
            &self.shape(layer),
            &self.fan_shape(layer),
        )
    }

    /// Error at the input `x`, from `e: [B, classes]` (dense: `[B, …, classes]`).
    pub(crate) fn below(
        self,
        layer: &LayerSpec,
        e: &Tensor,
        b: &Tensor,
        x: &Tensor,
    ) -> Result<Tensor> {
        if layer.kind == LayerKind::Dense {
            return layer.feedback(e, b);
        }
        let classes = layer.classes();
        let per_class = match self {
            Self::Full => b.clone(),
            Self::Kernel if e.batch()? <= classes => return layer.feedback(&spread(layer, e)?, b),
            Self::Kernel => {
                let each = e
                    .arange_like(classes, DType::U32)?
                    .one_hot(classes, e.dtype()?)?;
                layer.feedback(&spread(layer, &each)?, b)?
            }
        };
        let values = layer.input_shape().iter().product();
        e.matmul(&per_class.reshape(&[classes, values])?)?
            .reshape(&x.shape()?)
    }

    /// Gradient of `B` as the weight of a direct connection from `x` to the output.
    pub(crate) fn correlate(self, layer: &LayerSpec, x: &Tensor, e: &Tensor) -> Result<Tensor> {
        match (self, layer.kind) {
            (_, LayerKind::Dense) => layer.correlate(x, e),
            (Self::Kernel, _) => layer.correlate(x, &spread(layer, e)?),
            (Self::Full, _) => {
                let values = layer.input_shape().iter().product();
                let x = x.reshape(&[x.batch()?, values])?;
                e.t()?.matmul(&x)?.reshape(&self.shape(layer))
            }
        }
    }
}

/// `ē`: `e: [N, classes]`, once for each group, at each output position:
/// `[N, groups·classes, P, Q]`.
fn spread(layer: &LayerSpec, e: &Tensor) -> Result<Tensor> {
    let (samples, channels) = (e.batch()?, layer.groups() * layer.classes());
    let repeated = Tensor::cat(&vec![e; layer.groups()], 1)?;
    let [_, p, q] = layer.output_shape() else {
        return Err(RuleError::shape("a convolution has outputs [K, P, Q]"));
    };
    repeated
        .reshape(&[samples, channels, 1, 1])?
        .broadcast_as(&[samples, channels, *p, *q])
}

/// The network's output error.
pub(crate) fn output_error<'a>(e: &'a Errors<'_>) -> Result<&'a Tensor> {
    e.output_error
        .as_deref()
        .ok_or_else(|| RuleError::rule("the host gave no output error to a direct rule"))
}
