/// The switch of the mutants: see `.ci/mutants.sh`.
#[allow(unsafe_code, missing_docs, dead_code)]
pub(crate) mod mutant_switch {
    use std::ffi::{CStr, c_char};
    use std::io::Write as _;
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

    const UNREAD: u32 = u32::MAX;
    const RECORD: u32 = u32::MAX - 1;
    const NONE: u32 = u32::MAX - 2;
    static CHOSEN: AtomicU32 = AtomicU32::new(UNREAD);
    static SEEN: [AtomicBool; 100_000] = [const { AtomicBool::new(false) }; 100_000];

    unsafe extern "C" {
        // Allocates nothing: the switch may be read where memory is counted.
        fn getenv(name: *const c_char) -> *const c_char;
    }

    /// What the compiler evaluates has no mutants.
    #[inline]
    pub const fn on(number: u32) -> bool {
        const fn compiled(_: u32) -> bool {
            false
        }
        core::intrinsics::const_eval_select((number,), compiled, runs)
    }

    #[inline]
    fn runs(number: u32) -> bool {
        let chosen = CHOSEN.load(Ordering::Relaxed);
        chosen == number || chosen >= RECORD && first(number)
    }

    #[cold]
    #[inline(never)]
    fn first(number: u32) -> bool {
        let mut chosen = CHOSEN.load(Ordering::Relaxed);
        if chosen == UNREAD {
            let text = unsafe { getenv(c"FINALITE_MUTANT".as_ptr()) };
            let text = if text.is_null() { "" } else { unsafe { CStr::from_ptr(text) }.to_str().unwrap_or("") };
            chosen = if text == "record" { RECORD } else { text.parse().unwrap_or(NONE) };
            CHOSEN.store(chosen, Ordering::Relaxed);
        }
        if chosen == RECORD && !SEEN[number as usize].swap(true, Ordering::Relaxed) {
            let file = std::env::var_os("FINALITE_MUTANTS_SEEN").unwrap();
            let mut file = std::fs::OpenOptions::new().append(true).create(true).open(file).unwrap();
            file.write_all(format!("{number}\n").as_bytes()).unwrap();
        }
        chosen == number
    }
}
