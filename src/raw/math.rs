//! Functions of C's mathematical library, which SQLite's own functions call: Rust computes some of them otherwise.

use std::ffi::c_double;

mod c {
    use std::ffi::c_double;

    unsafe extern "C" {
        pub(super) fn acos(x: c_double) -> c_double;
        pub(super) fn acosh(x: c_double) -> c_double;
        pub(super) fn asin(x: c_double) -> c_double;
        pub(super) fn asinh(x: c_double) -> c_double;
        pub(super) fn atan(x: c_double) -> c_double;
        pub(super) fn atan2(y: c_double, x: c_double) -> c_double;
        pub(super) fn atanh(x: c_double) -> c_double;
        pub(super) fn ceil(x: c_double) -> c_double;
        pub(super) fn cos(x: c_double) -> c_double;
        pub(super) fn cosh(x: c_double) -> c_double;
        pub(super) fn exp(x: c_double) -> c_double;
        pub(super) fn floor(x: c_double) -> c_double;
        pub(super) fn fmod(x: c_double, y: c_double) -> c_double;
        pub(super) fn log(x: c_double) -> c_double;
        pub(super) fn log10(x: c_double) -> c_double;
        pub(super) fn log2(x: c_double) -> c_double;
        pub(super) fn pow(x: c_double, y: c_double) -> c_double;
        pub(super) fn sin(x: c_double) -> c_double;
        pub(super) fn sinh(x: c_double) -> c_double;
        pub(super) fn sqrt(x: c_double) -> c_double;
        pub(super) fn tan(x: c_double) -> c_double;
        pub(super) fn tanh(x: c_double) -> c_double;
        pub(super) fn trunc(x: c_double) -> c_double;
    }
}

macro_rules! functions {
    ($($name:ident($($argument:ident),*))*) => {
        $(
            pub(crate) fn $name($($argument: c_double),*) -> c_double {
                // SAFETY: C11 7.12: a function of numbers, defined for all of them, which touches nothing but `errno`
                // and the floating-point environment of this thread (rule 24).
                unsafe { c::$name($($argument),*) }
            }
        )*
    };
}

functions! {
    acos(x) acosh(x) asin(x) asinh(x) atan(x) atan2(y, x) atanh(x) ceil(x) cos(x) cosh(x) exp(x) floor(x) fmod(x, y)
    log(x) log10(x) log2(x) pow(x, y) sin(x) sinh(x) sqrt(x) tan(x) tanh(x) trunc(x)
}
