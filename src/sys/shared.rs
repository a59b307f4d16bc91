//! Memory that two processes see: mmap(2) with MAP_SHARED.

use super::flags::{MapFlags, Prot};
use super::gate::sys;
use crate::error::Result;
use core::sync::atomic::{AtomicI32, Ordering};

/// A few words that a process and its children share. They stay until both end.
#[derive(Clone, Copy)]
pub struct SharedWords(&'static [AtomicI32; 4]);

impl SharedWords {
    /// All of them 0.
    pub fn map() -> Result<SharedWords> {
        let (prot, flags) = (Prot::READ | Prot::WRITE, MapFlags::SHARED | MapFlags::ANONYMOUS);
        // SAFETY: a new mapping, at an address that the kernel chooses
        let at = unsafe { sys!(mmap(0usize, size_of::<[AtomicI32; 4]>(), prot, flags, -1, 0usize)) }.of(b"shared")?;
        // SAFETY: a mapping of zeros, larger than this and aligned to a page, which nobody unmaps
        Ok(SharedWords(unsafe { &*(at as *const [AtomicI32; 4]) }))
    }

    fn word(&self, which: usize) -> Option<&AtomicI32> {
        self.0.get(which)
    }

    /// What it is.
    pub fn get(&self, which: usize) -> i32 {
        self.word(which).map_or(0, |word| word.load(Ordering::SeqCst))
    }

    /// Makes it `value`.
    pub fn set(&self, which: usize, value: i32) {
        if let Some(word) = self.word(which) {
            word.store(value, Ordering::SeqCst);
        }
    }

    /// Makes a 0 a 1; `false`: it was none.
    pub fn take(&self, which: usize) -> bool {
        self.word(which).is_some_and(|word| word.compare_exchange(0, 1, Ordering::SeqCst, Ordering::SeqCst).is_ok())
    }
}
