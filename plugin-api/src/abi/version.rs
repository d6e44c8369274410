//! Versions of the interface.
//!
//! `0.MINOR` breaks, `0.x.PATCH` adds. An added op carries the version it came
//! with, so that a refusal can say which host has it.

use std::fmt;

use abi_stable::StableAbi;

/// A version of the plugin interface.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ApiVersion {
    /// Breaks from 1.0 on.
    pub major: u32,
    /// Breaks before 1.0.
    pub minor: u32,
    /// Additions.
    pub patch: u32,
}

impl ApiVersion {
    /// The version written `major.minor.patch`.
    pub const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self {
            major,
            minor,
            patch,
        }
    }

    /// Whether a plugin built for `self` can talk to a host of `host` at all
    /// (missing ops are looked at one by one afterwards).
    pub const fn speaks_with(self, host: Self) -> bool {
        self.major == host.major && (self.major != 0 || self.minor == host.minor)
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// The version this crate implements.
pub const API_VERSION: ApiVersion = ApiVersion::new(0, 1, 3);

/// [`API_VERSION`] as text, for what is put together when a plugin is compiled.
#[doc(hidden)]
#[macro_export]
macro_rules! api_version_text {
    () => {
        "0.1.3"
    };
}

/// What `SDK` text a plugin built with this crate carries.
pub const SDK: &str = concat!("biorule-plugin-api ", env!("CARGO_PKG_VERSION"));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_as_text_is_the_version() {
        assert_eq!(API_VERSION.to_string(), crate::api_version_text!());
    }
}
