//! Tells a test how large the largest allocation was that some code made: how decoders are shown to believe no count.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static LARGEST: Cell<usize> = const { Cell::new(0) };
}

/// Runs `code` and gives its result with the size of the largest allocation that this thread made in it.
pub(crate) fn largest_allocation<T>(code: impl FnOnce() -> T) -> (T, usize) {
    LARGEST.set(0);
    let result = code();
    (result, LARGEST.get())
}

struct CountingAllocator;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

fn note(size: usize) {
    // A thread that is ending has no cell any more, and nobody to ask it.
    let _ = LARGEST.try_with(|largest| largest.set(largest.get().max(size)));
}

#[expect(
    unsafe_code,
    reason = "an allocator can be had in no other way; tests only, and it passes everything on"
)]
// SAFETY: each call goes to the system's allocator with the caller's arguments; noting a size allocates nothing.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        note(new_size);
        unsafe { System.realloc(pointer, layout, new_size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
}
