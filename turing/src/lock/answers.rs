//! A question whose answer all share who came before it was asked.

use std::fmt::Debug;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Mutex;

/// Something that can be asked again and again.
pub(super) trait Question: Send {
    /// Why there is no good answer.
    type Error: Clone + Debug + Send;

    /// Asks.
    fn ask(&mut self) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// Answers for many that ask at the same time. No good answer is older than the call that it is for. A
/// failure is the answer of all that wait when it comes, however many these are: to each of them it
/// says no more than that the question is to be asked again.
#[derive(Debug)]
pub(super) struct Answers<Q: Question> {
    /// How many have come.
    came: AtomicU64,
    turn: Mutex<Turn<Q>>,
}

#[derive(Debug)]
struct Turn<Q: Question> {
    question: Q,
    /// Those who came before this many others have their answer.
    answered: u64,
    /// Those who came before this many others have this failure, unless they have an answer.
    failed: Option<(u64, Q::Error)>,
}

impl<Q: Question> Answers<Q> {
    pub(super) fn of(question: Q) -> Self {
        let turn = Turn { question, answered: 0, failed: None };
        Self { came: AtomicU64::new(0), turn: Mutex::new(turn) }
    }

    /// Waits for an answer to the question, asked from now on.
    pub(super) async fn get(&self) -> Result<(), Q::Error> {
        let place = self.came.fetch_add(1, Ordering::SeqCst);
        let mut turn = self.turn.lock().await;
        if place < turn.answered {
            return Ok(());
        }
        if let Some((failed, error)) = &turn.failed
            && place < *failed
        {
            return Err(error.clone());
        }
        let came = self.came.load(Ordering::SeqCst);
        if let Err(error) = turn.question.ask().await {
            turn.failed = Some((self.came.load(Ordering::SeqCst), error.clone()));
            return Err(error);
        }
        turn.answered = came;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::sync::Semaphore;
    use tokio::task::{JoinSet, yield_now};
    use tokio::time::Instant;

    use super::*;
    use crate::lock::ABSENCE;

    /// Each question takes one permit before it is answered.
    struct Slow {
        asked: Arc<AtomicU64>,
        answers: Arc<Semaphore>,
        failing: u64,
    }

    impl Question for Slow {
        type Error = u64;

        async fn ask(&mut self) -> Result<(), u64> {
            let asked = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
            self.answers.acquire().await.unwrap().forget();
            if asked <= self.failing { Err(asked) } else { Ok(()) }
        }
    }

    struct Scene {
        asked: Arc<AtomicU64>,
        permits: Arc<Semaphore>,
        answers: Arc<Answers<Slow>>,
        calls: JoinSet<Result<(), u64>>,
    }

    impl Scene {
        fn new(failing: u64) -> Self {
            let (asked, permits) = (Arc::<AtomicU64>::default(), Arc::new(Semaphore::new(0)));
            let slow = Slow { asked: asked.clone(), answers: permits.clone(), failing };
            let (answers, calls) = (Arc::new(Answers::of(slow)), JoinSet::new());
            Self { asked, permits, answers, calls }
        }

        /// So many more come, and wait.
        async fn come(&mut self, count: u64) {
            let before = self.answers.came.load(Ordering::SeqCst);
            for _ in 0..count {
                let answers = self.answers.clone();
                self.calls.spawn(async move { answers.get().await });
            }
            while self.answers.came.load(Ordering::SeqCst) < before + count {
                yield_now().await;
            }
        }

        async fn until_asked(&self, times: u64) {
            while self.asked.load(Ordering::SeqCst) < times {
                yield_now().await;
            }
        }

        /// Gives one answer, and waits for so many calls that it is for.
        async fn answer(&mut self, calls: usize) -> Vec<Result<(), u64>> {
            self.permits.add_permits(1);
            let mut results = Vec::new();
            for _ in 0..calls {
                results.push(self.calls.join_next().await.unwrap().unwrap());
            }
            results
        }
    }

    #[tokio::test]
    async fn who_comes_while_it_is_asked_shares_the_next_question_and_not_this_one() {
        let mut scene = Scene::new(0);
        scene.come(1).await;
        scene.until_asked(1).await;
        scene.come(9).await;
        assert_eq!(scene.answer(1).await, [Ok(())]);
        // all nine by one question, and none by that of the first
        scene.until_asked(2).await;
        assert!(scene.calls.try_join_next().is_none());
        scene.come(1).await;
        assert_eq!(scene.answer(9).await, [Ok(()); 9]);
        scene.until_asked(3).await;
        assert_eq!(scene.answer(1).await, [Ok(())]);
        assert_eq!((scene.asked.load(Ordering::SeqCst), scene.calls.len()), (3, 0));
    }

    #[tokio::test]
    async fn a_failure_answers_all_who_wait_and_who_comes_then_asks_again() {
        let mut scene = Scene::new(2);
        for failure in 1..=2 {
            scene.come(1).await;
            scene.until_asked(failure).await;
            scene.come(63).await;
            assert_eq!(scene.answer(64).await, [Err(failure); 64], "one question for all of them");
            assert_eq!(scene.asked.load(Ordering::SeqCst), failure);
        }
        scene.come(1).await;
        scene.until_asked(3).await;
        assert_eq!(scene.answer(1).await, [Ok(())]);
        assert_eq!(scene.asked.load(Ordering::SeqCst), 3);
    }

    /// No question is answered within its time.
    struct Swallowed;

    impl Question for Swallowed {
        type Error = ();

        async fn ask(&mut self) -> Result<(), ()> {
            tokio::time::sleep(Duration::from_secs(10)).await;
            Err(())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn many_give_up_a_server_that_swallows_all_questions_as_soon_as_one_does() {
        for callers in [1, 64] {
            let (answers, mut calls) = (Arc::new(Answers::of(Swallowed)), JoinSet::new());
            let began = Instant::now();
            for _ in 0..callers {
                let answers = answers.clone();
                calls.spawn(async move {
                    while began.elapsed() < ABSENCE {
                        answers.get().await.unwrap_err();
                    }
                });
            }
            calls.join_all().await;
            assert_eq!(began.elapsed(), ABSENCE, "{callers} callers");
        }
    }

    #[tokio::test]
    async fn a_call_that_is_given_up_leaves_the_question_to_the_others() {
        let mut scene = Scene::new(0);
        let answers = scene.answers.clone();
        let first = tokio::spawn(async move { answers.get().await });
        scene.until_asked(1).await;
        scene.come(2).await;
        first.abort();
        assert!(first.await.unwrap_err().is_cancelled());
        assert_eq!(scene.answer(2).await, [Ok(()); 2]);
        assert_eq!(scene.asked.load(Ordering::SeqCst), 2);
    }
}
