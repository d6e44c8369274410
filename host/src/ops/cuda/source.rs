//! The kernel texts, and how a compilable unit is made of one.

use candle_core::DType;

/// A file of kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Source {
    Channels,
    Compete,
    Conv,
    Depthwise,
    Images,
    Loss,
    Norm,
    Optim,
    Pool,
    Shape,
    Synapses,
}

const PRELUDE: &str = include_str!("kernels/prelude.cuh");

impl Source {
    /// All of them.
    #[cfg(test)]
    pub const ALL: [Self; 11] = [
        Self::Channels,
        Self::Compete,
        Self::Conv,
        Self::Depthwise,
        Self::Images,
        Self::Loss,
        Self::Norm,
        Self::Optim,
        Self::Pool,
        Self::Shape,
        Self::Synapses,
    ];

    /// File name without its ending.
    pub fn name(self) -> &'static str {
        match self {
            Self::Channels => "channels",
            Self::Compete => "compete",
            Self::Conv => "conv",
            Self::Depthwise => "depthwise",
            Self::Images => "images",
            Self::Loss => "loss",
            Self::Norm => "norm",
            Self::Optim => "optim",
            Self::Pool => "pool",
            Self::Shape => "shape",
            Self::Synapses => "synapses",
        }
    }

    fn body(self) -> &'static str {
        match self {
            Self::Channels => include_str!("kernels/channels.cu"),
            Self::Compete => include_str!("kernels/compete.cu"),
            Self::Conv => include_str!("kernels/conv.cu"),
            Self::Depthwise => include_str!("kernels/depthwise.cu"),
            Self::Images => include_str!("kernels/images.cu"),
            Self::Loss => include_str!("kernels/loss.cu"),
            Self::Norm => include_str!("kernels/norm.cu"),
            Self::Optim => include_str!("kernels/optim.cu"),
            Self::Pool => include_str!("kernels/pool.cu"),
            Self::Shape => include_str!("kernels/shape.cu"),
            Self::Synapses => include_str!("kernels/synapses.cu"),
        }
    }

    /// What the compiler gets, for elements of `dtype` (`f32` or `f64`).
    pub fn text(self, dtype: DType) -> String {
        let define = if dtype == DType::F64 {
            "#define REAL_IS_DOUBLE\n"
        } else {
            ""
        };
        format!("{define}{PRELUDE}\n{}", self.body())
    }

    /// Names of the kernels in it, in order.
    #[cfg(test)]
    pub fn kernels(self) -> Vec<&'static str> {
        let marked = self.body().split("extern \"C\" __global__ void ").skip(1);
        marked.filter_map(|rest| rest.split('(').next()).collect()
    }
}
