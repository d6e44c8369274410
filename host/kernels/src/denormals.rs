//! Subnormal ("denormal") numbers: below 1.2e-38 in `f32`, 2.2e-308 in `f64`.
//!
//! Processors compute with them in microcode, on Intel at more than a hundred cycles an instruction. A
//! soft competition among many units leaves most activities there, and the step takes three times as
//! long (docs/performance.md). So every thread that computes takes and gives them as 0.
//!
//! The switch belongs to a thread: x86 has it in MXCSR (FTZ, results; DAZ, operands), AArch64 in FPCR
//! (FZ, both). The host sets it wherever a thread starts.

/// Takes subnormal operands and results as 0 in this thread from now on, or (`false`) as the numbers
/// they are. False, without any effect, where the processor has no such switch.
/// The name is PyTorch's, which has the same switch.
pub fn set_flush_denormal(on: bool) -> bool {
    control::set(on)
}

/// Whether this thread takes subnormal operands and results as 0.
pub fn flushes_denormal() -> bool {
    control::is_set()
}

#[cfg(target_arch = "x86_64")]
mod control {
    use std::arch::asm;

    /// MXCSR's FTZ (bit 15) and DAZ (bit 6).
    const FLUSH: u32 = 1 << 15 | 1 << 6;

    fn read() -> u32 {
        let mut state = 0u32;
        // SAFETY: SSE is part of x86-64; the instruction writes four bytes, and they are `state`'s.
        unsafe {
            asm!("stmxcsr [{}]", in(reg) &raw mut state, options(nostack, preserves_flags));
        }
        state
    }

    pub fn set(on: bool) -> bool {
        let state = if on { read() | FLUSH } else { read() & !FLUSH };
        // SAFETY: the value is the register's own but for two bits that every x86-64 has. Rounding and
        // exceptions stay as the compiler assumes them; what it computes itself or reorders may keep a
        // subnormal number or flush it, and either is a result that this module's users accept.
        unsafe {
            asm!("ldmxcsr [{}]", in(reg) &raw const state, options(nostack, preserves_flags, readonly));
        }
        true
    }

    pub fn is_set() -> bool {
        read() & FLUSH == FLUSH
    }
}

#[cfg(target_arch = "aarch64")]
mod control {
    use std::arch::asm;

    /// FPCR's FZ.
    const FLUSH: u64 = 1 << 24;

    fn read() -> u64 {
        let state: u64;
        // SAFETY: reads a register that programs may read.
        unsafe { asm!("mrs {}, fpcr", out(reg) state, options(nomem, nostack, preserves_flags)) };
        state
    }

    pub fn set(on: bool) -> bool {
        let state = if on { read() | FLUSH } else { read() & !FLUSH };
        // SAFETY: the value is the register's own but for FZ. Rounding stays as the compiler assumes
        // it; what it computes itself may keep a subnormal number, which users of this module accept.
        unsafe { asm!("msr fpcr, {}", in(reg) state, options(nomem, nostack, preserves_flags)) };
        true
    }

    pub fn is_set() -> bool {
        read() & FLUSH == FLUSH
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
mod control {
    pub fn set(_on: bool) -> bool {
        false
    }

    pub fn is_set() -> bool {
        false
    }
}
