//! Keeping libraries loaded: the one that this code belongs to, and one that uses it.

/// Keeps the library that this code belongs to, and that which has the address, in memory until the process ends, whoever
/// unloads them. They are two where finalite is part of a Rust `dylib`. Returns whether they stay; a program, which nothing
/// can unload, does.
pub(crate) fn keep_loaded(address: usize) -> bool {
    [(&raw const HERE).addr(), address].into_iter().all(system::keep_loaded)
}

/// Static of the library, by whose address the system finds it.
static HERE: u8 = 0;

#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple", target_os = "freebsd"))]
mod system {
    use std::ffi::{c_char, c_int, c_void};
    use std::ptr;

    /// `Dl_info`.
    #[repr(C)]
    struct Found {
        file: *const c_char,
        base: *mut c_void,
        name: *const c_char,
        address: *mut c_void,
    }

    const LAZY: c_int = 1;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    const STAYS: c_int = 0x4 | 0x1000;
    #[cfg(target_vendor = "apple")]
    const STAYS: c_int = 0x10 | 0x80;
    #[cfg(target_os = "freebsd")]
    const STAYS: c_int = 0x2000 | 0x1000;

    unsafe extern "C" {
        fn dladdr(address: *const c_void, found: *mut Found) -> c_int;
        fn dlopen(file: *const c_char, flags: c_int) -> *mut c_void;
    }

    pub(super) fn keep_loaded(address: usize) -> bool {
        let Some(here) = find(ptr::without_provenance(address)) else {
            // Without a dynamic linker, this is a program.
            return true;
        };
        if is_program(&here) {
            return true;
        }
        // SAFETY: the name under which the library was loaded, as the linker keeps it; a library that is loaded is not loaded
        // anew, and is not unloaded from now on (dlopen(3), RTLD_NOLOAD, RTLD_NODELETE; rule 24). Its count stays raised.
        !unsafe { dlopen(here.file, LAZY | STAYS) }.is_null()
    }

    fn find(address: *const c_void) -> Option<Found> {
        let mut found = Found { file: ptr::null(), base: ptr::null_mut(), name: ptr::null(), address: ptr::null_mut() };
        // SAFETY: any address, and a place for the result (dladdr(3), rule 24).
        let is_found = unsafe { dladdr(address, &raw mut found) } != 0;
        (is_found && !found.file.is_null()).then_some(found)
    }

    /// Whether this is the program itself: `dlopen` does not find a program by its name.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn is_program(here: &Found) -> bool {
        const ENTRY: usize = 9;
        unsafe extern "C" {
            // C's `unsigned long`, which is as wide as a pointer here.
            fn getauxval(kind: usize) -> usize;
        }
        // SAFETY: takes a number, and returns 0 for one that is unknown (getauxval(3), rule 24).
        let entry = unsafe { getauxval(ENTRY) };
        find(ptr::without_provenance(entry)).is_some_and(|program| program.base == here.base)
    }

    /// `dlopen` finds a program by its name.
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    fn is_program(_here: &Found) -> bool {
        false
    }
}

#[cfg(windows)]
mod system {
    use std::ffi::{c_int, c_void};
    use std::ptr;

    const PIN: u32 = 1;
    const FROM_ADDRESS: u32 = 4;

    unsafe extern "system" {
        fn GetModuleHandleExW(flags: u32, address: *const u16, module: *mut *mut c_void) -> c_int;
    }

    pub(super) fn keep_loaded(address: usize) -> bool {
        let mut module = ptr::null_mut();
        // SAFETY: with `FROM_ADDRESS`, an address within the module, and a place for its handle; with `PIN`, it stays until the
        // process ends (rule 24).
        unsafe { GetModuleHandleExW(PIN | FROM_ADDRESS, ptr::without_provenance(address), &raw mut module) != 0 }
    }
}

#[cfg(not(any(windows, target_os = "linux", target_os = "android", target_vendor = "apple", target_os = "freebsd")))]
mod system {
    pub(super) fn keep_loaded(_address: usize) -> bool {
        false
    }
}
