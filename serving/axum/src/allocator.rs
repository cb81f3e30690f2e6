//! Memory that is no longer needed and that the allocator keeps.

/// Give it back to the operating system. By itself, glibc does so only from the end of a heap, and threads have several
/// heaps: models that come and go leave holes in all of them. Other threads may have to wait meanwhile.
#[allow(unsafe_code)]
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it may be called at any time, from any thread, and touches only what is free.
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(all(test, target_env = "gnu"))]
mod tests {
    use std::fs;

    use super::*;

    const PIECE: usize = 16 << 10;
    const PIECES: usize = 6_000;

    /// Of this process, in bytes: what stands second in the file, in pages of at least 4 KiB.
    fn resident() -> usize {
        let facts = fs::read_to_string("/proc/self/statm").unwrap();
        facts.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
    }

    #[test]
    fn holes_in_the_heap_are_given_back() {
        let mut pieces: Vec<_> = (0..PIECES).map(|_| vec![1_u8; PIECE]).collect();
        let last = pieces.pop(); // what keeps the heap from being shortened
        drop(pieces);
        let before = resident();
        give_back();
        assert!(resident() < before - PIECES * PIECE / 2);
        drop(last);
    }
}
