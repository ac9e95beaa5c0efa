//! A list for statics, which is appended to without a lock and never shrinks.
//!
//! Readers need no lock either, so that a child process forked at any moment finds the list consistent.

use std::iter;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

/// List of leaked entries, the newest first.
pub(crate) struct AppendList<T: 'static> {
    newest: AtomicPtr<Entry<T>>,
}

/// Entry of an [`AppendList`].
pub(crate) struct Entry<T: 'static> {
    value: T,
    older: Option<&'static Entry<T>>,
}

impl<T: Send + Sync + 'static> AppendList<T> {
    pub(crate) const fn new() -> Self {
        Self { newest: AtomicPtr::new(ptr::null_mut()) }
    }

    /// Returns the entry that was appended last.
    #[inline]
    fn newest(&self) -> Option<&'static Entry<T>> {
        // SAFETY: the pointer is NULL, or an entry that `push_after` leaked: it is never freed, and only shared
        // references to it exist since it was published (rule 23). Acquire pairs with the release that published it.
        unsafe { self.newest.load(Ordering::Acquire).as_ref() }
    }

    /// Returns the value that was appended last.
    #[inline]
    #[cfg(test)]
    fn last(&self) -> Option<&'static T> {
        self.newest().map(|entry| &entry.value)
    }

    /// Returns the values, the newest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &'static T> + use<T> {
        iter::successors(self.newest(), |entry| entry.older).map(|entry| &entry.value)
    }

    /// Appends a value.
    pub(crate) fn push(&self, value: T) -> &'static T {
        let mut entry = Box::new(Entry { value, older: None });
        loop {
            match self.push_after(self.newest(), entry) {
                Ok(value) => return value,
                Err(refused) => entry = refused,
            }
        }
    }

    /// Returns the newest value if it is accepted. Otherwise appends another, once, even if several threads call this.
    #[inline]
    pub(crate) fn last_or_push(&self, accepts: impl Fn(&T) -> bool, make: impl Fn() -> T) -> &'static T {
        loop {
            let newest = self.newest();
            if let Some(entry) = newest
                && accepts(&entry.value)
            {
                return &entry.value;
            }
            // If another thread has appended one in between, its value is looked at.
            if let Ok(value) = self.push_after(newest, Box::new(Entry { value: make(), older: None })) {
                return value;
            }
        }
    }

    /// Appends an entry if `newest` is still the newest one; returns it otherwise.
    fn push_after(
        &self,
        newest: Option<&'static Entry<T>>,
        mut entry: Box<Entry<T>>,
    ) -> Result<&'static T, Box<Entry<T>>> {
        entry.older = newest;
        let before = newest.map_or(ptr::null_mut(), |newest| ptr::from_ref(newest).cast_mut());
        let entry = Box::into_raw(entry);
        if self.newest.compare_exchange(before, entry, Ordering::AcqRel, Ordering::Relaxed).is_err() {
            // SAFETY: created by `Box::into_raw` above, and not published, as the exchange failed: no other code knows
            // it (rule 23).
            return Err(unsafe { Box::from_raw(entry) });
        }
        // SAFETY: created by `Box::into_raw` above; published, it is never freed, and only shared references to it
        // exist from now on (rule 23).
        let entry: &'static Entry<T> = unsafe { &*entry };
        Ok(&entry.value)
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn threads_append_each_value_once() {
        static LIST: AppendList<u64> = AppendList::new();
        thread::scope(|scope| {
            for first in [0, 1000, 2000] {
                scope.spawn(move || (first..first + 1000).for_each(|value| assert_eq!(*LIST.push(value), value)));
            }
        });
        let mut all: Vec<u64> = LIST.iter().copied().collect();
        all.sort_unstable();
        assert!(all.into_iter().eq(0..3000));
    }

    #[test]
    fn one_value_is_appended_for_all_threads() {
        static LIST: AppendList<u64> = AppendList::new();
        LIST.push(1);
        let get = || *LIST.last_or_push(|value| *value == 2, || 2);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(move || (0..1000).for_each(|_| assert_eq!(get(), 2)));
            }
        });
        assert!(LIST.iter().eq(&[2, 1]));
        assert_eq!(LIST.last(), Some(&2));
    }
}
