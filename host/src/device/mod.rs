//! Where tensors live: `auto`, `cpu` or `cuda:N`, resolved once at start.
//!
//! All GPU work is on one device and one stream; loaders hand over CPU tensors. Whatever is wrong with a GPU is found here,
//! as text: `auto` goes on with the CPU and keeps the reason for the run
//! record, a device asked for by name is a usage error.

pub mod budget;
#[cfg(feature = "cuda")]
mod cuda;
pub mod libraries;
pub mod memory;
mod place;

use std::fmt;
use std::str::FromStr;

use candle_core::Device;

pub use place::Place;

use crate::{Error, Result};

/// What a configuration asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum DeviceChoice {
    /// The first GPU if it can be used, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// The GPU with this number, from 0.
    Cuda(usize),
}

impl FromStr for DeviceChoice {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            Error::usage(format!("unknown device `{text}`"))
                .hint("one of `auto`, `cpu`, `cuda`, `cuda:0`, `cuda:1` …")
        };
        match text.split_once(':') {
            None if text == "auto" => Ok(Self::Auto),
            None if text == "cpu" => Ok(Self::Cpu),
            None if text == "cuda" => Ok(Self::Cuda(0)),
            Some(("cuda", number)) if number.bytes().all(|b| b.is_ascii_digit()) => {
                number.parse().map(Self::Cuda).map_err(|_| wrong())
            }
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
        }
    }
}

/// The device of a run, and what the run record says about it.
#[derive(Clone, Debug)]
pub struct Placement {
    /// Make tensors here; cloned, never opened twice (two openings of one GPU
    /// count as different devices).
    pub device: Device,
    /// `cpu` or `cuda:0 (NVIDIA H200)`.
    pub name: String,
    /// Why `auto` did not take a GPU.
    pub fallback: Option<String>,
    /// Whether 32-bit matrix products may use TF32 (always false on the CPU).
    pub tf32: bool,
}

impl Placement {
    /// The CPU, as asked for.
    pub fn cpu() -> Self {
        Self {
            device: Device::Cpu,
            name: "cpu".to_owned(),
            fallback: None,
            tf32: false,
        }
    }

    /// Opens what `choice` asks for. `tf32` allows TF32 in 32-bit matrix
    /// products, which changes results at the 1e-3 level.
    ///
    /// # Errors
    /// A usage error where a GPU is asked for by name and cannot be used.
    pub fn open(choice: DeviceChoice, tf32: bool) -> Result<Self> {
        match choice {
            DeviceChoice::Cpu => Ok(Self::cpu()),
            DeviceChoice::Auto => Ok(Self::gpu(0, tf32).unwrap_or_else(|reason| Self {
                fallback: Some(reason),
                ..Self::cpu()
            })),
            DeviceChoice::Cuda(number) => Self::gpu(number, tf32).map_err(|reason| {
                Error::usage(format!("device `{choice}` cannot be used: {reason}"))
                    .hint("`biorule doctor` says what is missing; `device = \"auto\"` falls back to the CPU")
            }),
        }
    }

    fn gpu(number: usize, tf32: bool) -> Result<Self, String> {
        let (device, name) = open_gpu(number, tf32)?;
        Ok(Self {
            device,
            name,
            fallback: None,
            tf32,
        })
    }
}

#[cfg(feature = "cuda")]
use cuda::open_gpu;

/// Why there is no GPU in this build.
#[cfg(not(feature = "cuda"))]
fn open_gpu(_number: usize, _tf32: bool) -> Result<(Device, String), String> {
    Err("this `biorule` was built without the `cuda` feature".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_are_read_and_written() {
        for text in ["auto", "cpu", "cuda:0", "cuda:12"] {
            assert_eq!(text.parse::<DeviceChoice>().expect(text).to_string(), text);
        }
        assert_eq!(
            "cuda".parse::<DeviceChoice>().expect("cuda"),
            DeviceChoice::Cuda(0)
        );
        for text in ["", "gpu", "cuda:", "cuda:-1", "cuda:x", "cpu:0", "cuda:+1"] {
            let error = text.parse::<DeviceChoice>().expect_err(text);
            assert_eq!(error.code, crate::ExitCode::Usage);
        }
    }

    #[test]
    fn the_cpu_is_always_there() {
        let placement = Placement::open(DeviceChoice::Cpu, true).expect("cpu");
        assert!(placement.device.is_cpu() && !placement.tf32 && placement.fallback.is_none());
    }

    #[test]
    fn auto_never_fails_and_keeps_its_reason() {
        let placement = Placement::open(DeviceChoice::Auto, false).expect("auto");
        assert_eq!(placement.device.is_cpu(), placement.fallback.is_some());
    }

    #[test]
    fn a_gpu_that_is_not_there_is_a_usage_error() {
        let error = Placement::open(DeviceChoice::Cuda(4096), false).expect_err("no such GPU");
        assert_eq!(error.code, crate::ExitCode::Usage);
        assert!(error.text.contains("`cuda:4096`"), "{error}");
        if cfg!(not(feature = "cuda")) {
            assert!(error.text.contains("without the `cuda` feature"), "{error}");
        }
    }
}
