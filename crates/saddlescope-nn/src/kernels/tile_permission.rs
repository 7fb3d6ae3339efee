//! Whether this process may use the processor's tile registers (AMX).
//!
//! Linux saves them on a switch between threads only for a process that has asked. The permission then holds for all of its
//! threads. Other systems are not asked.

/// Whether the processor has tiles with products of 16-bit floating-point numbers, and the system lets this process use them.
/// Asks for the permission.
pub(super) fn granted() -> bool {
    has_instructions() && ask()
}

/// CPUID leaf 7: EDX bits of AMX-BF16 and AMX-TILE.
const AMX: u32 = 1 << 22 | 1 << 24;

/// Bits of XCR0: the system saves the configuration of tiles and their data.
const TILE_STATE: u64 = 1 << 17 | 1 << 18;

fn has_instructions() -> bool {
    use std::arch::x86_64::{__cpuid, __cpuid_count};

    // CPUID leaf 1, ECX: OSXSAVE, without which there is no XCR0 to read.
    const OSXSAVE: u32 = 1 << 27;
    if __cpuid(0).eax < 7 || __cpuid(1).ecx & OSXSAVE == 0 {
        return false;
    }
    if __cpuid_count(7, 0).edx & AMX != AMX {
        return false;
    }
    let (low, high): (u32, u32);
    // SAFETY: XGETBV exists where OSXSAVE is set; it reads register 0 of the extended control registers and nothing else.
    unsafe {
        std::arch::asm!("xgetbv", in("ecx") 0, out("eax") low, out("edx") high, options(nomem, nostack, preserves_flags));
    }
    (u64::from(high) << 32 | u64::from(low)) & TILE_STATE == TILE_STATE
}

#[cfg(target_os = "linux")]
fn ask() -> bool {
    /// `ARCH_REQ_XCOMP_PERM` and `XFEATURE_XTILEDATA` of Linux.
    const REQUEST: libc::c_long = 0x1023;
    const TILE_DATA: libc::c_long = 18;
    // SAFETY: the call takes two numbers, changes what this process may use, and touches no memory. Linux before 5.16 refuses it.
    unsafe { libc::syscall(libc::SYS_arch_prctl, REQUEST, TILE_DATA) == 0 }
}

#[cfg(not(target_os = "linux"))]
fn ask() -> bool {
    false
}
