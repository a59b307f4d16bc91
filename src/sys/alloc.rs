//! The heap of a program that runs once and ends: a bump allocator. libc's own would make brk and mmap calls before the
//! first line of work.

use super::flags::{MapFlags, Prot};
use super::gate::sys;
use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::ptr;

/// With a terminal, 72 KiB of it are the relay's.
const ARENA: usize = 128 * 1024;

/// Memory is handed out from one end of a static arena and, when that is full, of mapped chunks. Only the newest block
/// can grow in place. Nothing is given back, for the process ends soon: what is dropped costs no code.
pub struct Bump {
    arena: UnsafeCell<[u8; ARENA]>,
    /// The free part: from, to. (0, 0) means that the arena has not been entered yet.
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

// SAFETY: every block lies in the arena or in a mapping of our own, is aligned, and overlaps no other
unsafe impl GlobalAlloc for Bump {
    #[inline(never)]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: one thread, and no reference to the cell outlives this call
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
            match unsafe { sys!(mmap(0usize, size, Prot::READ | Prot::WRITE, flags, -1, 0usize)) }.ok() {
                Some(chunk) => *free = (chunk, chunk + size),
                None => return ptr::null_mut(),
            }
            start = free.0.next_multiple_of(layout.align());
        }
        free.0 = start + layout.size();
        start as *mut u8
    }

    /// Whatever is handed out is so for the first time, and the kernel has filled it with zeros. What nobody writes to is
    /// no memory yet.
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's
        unsafe { self.alloc(layout) }
    }

    #[inline(always)]
    unsafe fn dealloc(&self, _block: *mut u8, _layout: Layout) {}

    #[inline(never)]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as in `alloc`
        let free = unsafe { &mut *self.free.get() };
        if block as usize + layout.size() == free.0 && block as usize + size <= free.1 {
            // What it no longer needs may have been written to.
            free.0 = free.0.max(block as usize + size);
            return block;
        }
        // SAFETY: the caller's layout with a new size, as realloc's contract has it
        let new = unsafe { self.alloc(Layout::from_size_align_unchecked(size, layout.align())) };
        if !new.is_null() {
            // SAFETY: both blocks hold at least the smaller size, and they do not overlap
            unsafe { ptr::copy_nonoverlapping(block, new, layout.size().min(size)) };
        }
        new
    }
}
