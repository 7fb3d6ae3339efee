//! Work spread over threads whose results are absorbed in a fixed order, so that any number of threads gives the
//! same bits.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Runs `work(i, state)` for i in 0..count on up to `threads` threads, each with a state of its own, and
/// `absorb(i, state)` after each, strictly in the order of i and never two at a time.
pub(crate) fn ordered<S: Send>(
    threads: usize,
    count: usize,
    mut make_state: impl FnMut() -> S,
    work: impl Fn(usize, &mut S) + Sync,
    mut absorb: impl FnMut(usize, &mut S) + Send,
) -> Vec<S> {
    let threads = threads.clamp(1, count.max(1));
    if threads == 1 {
        let mut state = make_state();
        for i in 0..count {
            work(i, &mut state);
            absorb(i, &mut state);
        }
        return vec![state];
    }
    let states: Vec<S> = (0..threads).map(|_| make_state()).collect();
    let next = AtomicUsize::new(0);
    let broken = AtomicBool::new(false);
    let turn = Mutex::new((0_usize, &mut absorb));
    let changed = Condvar::new();
    let run = |mut state: S| -> S {
        // If a thread panics, those that wait for its turn must not wait for ever.
        let guard = Guard { broken: &broken, changed: &changed };
        loop {
            let i = next.fetch_add(1, Ordering::Relaxed);
            if i >= count || broken.load(Ordering::Acquire) {
                break;
            }
            work(i, &mut state);
            let mut current = turn.lock().unwrap_or_else(PoisonError::into_inner);
            while current.0 != i && !broken.load(Ordering::Acquire) {
                // The time-out only matters when another thread panicked between our check and our wait.
                let waited = changed.wait_timeout(current, Duration::from_millis(100));
                current = waited.unwrap_or_else(PoisonError::into_inner).0;
            }
            if current.0 == i {
                (current.1)(i, &mut state);
                current.0 += 1;
            }
            drop(current);
            changed.notify_all();
        }
        drop(guard);
        state
    };
    std::thread::scope(|scope| {
        let handles: Vec<_> = (states.into_iter()).map(|state| scope.spawn(|| run(state))).collect();
        handles
            .into_iter()
            .map(|h| h.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}

/// Calls `work` on every item, on up to `threads` threads, in no particular order.
pub(crate) fn each<I: Send>(threads: usize, items: Vec<I>, work: impl Fn(I) + Sync) {
    let threads = threads.clamp(1, items.len().max(1));
    if threads == 1 {
        items.into_iter().for_each(work);
        return;
    }
    let queue = Mutex::new(items.into_iter());
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(item) = next() {
                    work(item);
                }
            });
        }
    });
}

struct Guard<'a> {
    broken: &'a AtomicBool,
    changed: &'a Condvar,
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.broken.store(true, Ordering::Release);
            self.changed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absorbs_in_order_on_any_number_of_threads() {
        for threads in [1, 2, 5] {
            let mut seen = Vec::new();
            ordered(threads, 100, || 0, |i, s| *s = i * i, |i, s| seen.push((i, *s)));
            assert_eq!(seen, (0..100).map(|i| (i, i * i)).collect::<Vec<_>>());
        }
    }

    #[test]
    fn every_item_is_worked_on_once() {
        for threads in [1, 2, 5] {
            let mut seen = vec![0; 100];
            each(threads, seen.iter_mut().enumerate().collect(), |(i, s)| *s += i);
            assert_eq!(seen, (0..100).collect::<Vec<_>>());
        }
        each(3, Vec::<()>::new(), |()| ());
    }

    #[test]
    fn a_panic_in_one_thread_reaches_the_caller() {
        let result = std::panic::catch_unwind(|| {
            ordered(2, 10, || (), |i, ()| assert!(i != 3, "stop"), |_, ()| {});
        });
        assert!(result.is_err());
    }
}
