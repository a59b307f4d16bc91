//! Memory: the heap of a program that runs once and ends, and words that two processes share. libc's own heap would make brk
//! and mmap calls before the first line of work.

use super::clone::Address;
use super::flags::{Advice, MapFlags, Prot};
use super::gate::About::Text;
use super::gate::call;
use crate::error::Result;
use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::ptr;
use core::sync::atomic::{AtomicI32, Ordering};

/// With a terminal, 72 KiB of it are the relay's.
const ARENA: usize = 192 * 1024;

/// A bump allocator: blocks are taken from the front of a static arena and, when that is full, of mapped chunks. Only the
/// newest block can grow in place. Nothing is freed, because the process ends soon.
pub struct Bump {
    arena: UnsafeCell<[u8; ARENA]>,
    /// The free part: from, to. (0, 0) means that nothing has been handed out yet.
    free: UnsafeCell<(usize, usize)>,
}

// SAFETY: mydocker has one thread, and the child is a copy of it in a memory of its own
unsafe impl Sync for Bump {}

impl Bump {
    /// An allocator that has handed out nothing yet.
    pub const fn new() -> Self {
        Bump { arena: UnsafeCell::new([0; ARENA]), free: UnsafeCell::new((0, 0)) }
    }
}

impl Default for Bump {
    fn default() -> Self {
        Self::new()
    }
}

// SAFETY: every block is in the arena or in a mapping of our own, is aligned, and overlaps no other
unsafe impl GlobalAlloc for Bump {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: mydocker has one thread, and no reference to the cell outlives this function
        let free = unsafe { &mut *self.free.get() };
        if free.1 == 0 {
            let start = self.arena.get() as usize;
            *free = (start, start + ARENA);
        }
        let mut start = free.0.next_multiple_of(layout.align());
        if start + layout.size() > free.1 {
            let size = (layout.size() + layout.align()).next_multiple_of(ARENA);
            let flags = MapFlags::PRIVATE | MapFlags::ANONYMOUS;
            // SAFETY: a new mapping, at an address that the kernel chooses
            match unsafe { call!(mmap(0usize, size, Prot::READ | Prot::WRITE, flags, -1, 0usize)) }.ok() {
                Some(chunk) => *free = (chunk, chunk + size),
                None => return ptr::null_mut(),
            }
            start = free.0.next_multiple_of(layout.align());
        }
        free.0 = start + layout.size();
        start as *mut u8
    }

    /// Blocks are never reused, so they are already zero. A page that nobody writes to takes no memory.
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller has made the promises of `alloc`
        unsafe { self.alloc(layout) }
    }

    unsafe fn dealloc(&self, _block: *mut u8, _layout: Layout) {}

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: mydocker has one thread, and no reference to the cell outlives this function
        let free = unsafe { &mut *self.free.get() };
        if block as usize + layout.size() == free.0 && block as usize + size <= free.1 {
            // The end of a block that shrinks may have been written to, and new blocks must be zero: it is not used again.
            free.0 = free.0.max(block as usize + size);
            return block;
        }
        // SAFETY: the caller has promised that the size is not zero and does not overflow with this alignment
        let new = unsafe { self.alloc(Layout::from_size_align_unchecked(size, layout.align())) };
        if !new.is_null() {
            // SAFETY: both blocks hold at least the smaller size, and they do not overlap
            unsafe { ptr::copy_nonoverlapping(block, new, layout.size().min(size)) };
        }
        new
    }
}

/// A few words that a process and its children share: mmap(2) with MAP_SHARED. They stay until all have ended.
#[derive(Clone, Copy)]
pub struct SharedWords(&'static [AtomicI32; 4]);

impl SharedWords {
    /// All of them 0.
    pub fn map() -> Result<SharedWords> {
        let (prot, flags) = (Prot::READ | Prot::WRITE, MapFlags::SHARED | MapFlags::ANONYMOUS);
        // SAFETY: a new mapping, at an address that the kernel chooses
        let at = unsafe { call!(mmap(0usize, size_of::<[AtomicI32; 4]>(), prot, flags, -1, 0usize)) }
            .about(Text(b"shared"))?;
        // SAFETY: a mapping of zeros, larger than this and aligned to a page, which nobody unmaps
        Ok(SharedWords(unsafe { &*(at as *const [AtomicI32; 4]) }))
    }

    /// Of word 0.
    pub(super) fn address(self) -> Address {
        Address(ptr::from_ref(self.0).cast_mut().cast())
    }

    /// The value of word `which`, 0 to 3.
    pub fn get(&self, which: usize) -> i32 {
        self.0.get(which).map_or(0, |word| word.load(Ordering::SeqCst))
    }

    /// Sets it.
    pub fn set(&self, which: usize, value: i32) {
        if let Some(word) = self.0.get(which) {
            word.store(value, Ordering::SeqCst);
        }
    }

    /// madvise(2): no child of this process from here on has them.
    pub fn keep_from_children(&self) -> Result<()> {
        let size = size_of::<[AtomicI32; 4]>();
        // SAFETY: a mapping of our own, of which this process keeps its own view
        unsafe { call!(madvise(self.address(), size, Advice::DONTFORK)) }.result().map(drop)
    }

    /// Makes a 0 a 1; `false`: it was not 0.
    pub fn take(&self, which: usize) -> bool {
        let exchange = |word: &AtomicI32| word.compare_exchange(0, 1, Ordering::SeqCst, Ordering::SeqCst).is_ok();
        self.0.get(which).is_some_and(exchange)
    }
}
