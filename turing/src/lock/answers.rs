//! A question whose answer all share who came before it was asked.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Mutex;

/// Something that can be asked again and again.
pub(super) trait Question: Send {
    /// Why there is no good answer.
    type Error;

    /// Asks.
    fn ask(&mut self) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// Answers for many that ask at the same time. No answer is older than the call that it is for; a
/// failure is the answer of one call only.
#[derive(Debug)]
pub(super) struct Answers<Q> {
    /// How many have come.
    came: AtomicU64,
    turn: Mutex<Turn<Q>>,
}

#[derive(Debug)]
struct Turn<Q> {
    question: Q,
    /// Those who came before this many others have their answer.
    answered: u64,
}

impl<Q: Question> Answers<Q> {
    pub(super) fn of(question: Q) -> Self {
        Self { came: AtomicU64::new(0), turn: Mutex::new(Turn { question, answered: 0 }) }
    }

    /// Waits for an answer to the question, asked from now on.
    pub(super) async fn get(&self) -> Result<(), Q::Error> {
        let place = self.came.fetch_add(1, Ordering::SeqCst);
        let mut turn = self.turn.lock().await;
        if place < turn.answered {
            return Ok(());
        }
        let came = self.came.load(Ordering::SeqCst);
        turn.question.ask().await?;
        turn.answered = came;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::Semaphore;
    use tokio::task::{JoinSet, yield_now};

    use super::*;

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
    async fn a_failure_answers_one_call_and_the_next_asks_again() {
        let mut scene = Scene::new(2);
        scene.come(1).await;
        scene.until_asked(1).await;
        scene.come(3).await;
        assert_eq!(scene.answer(1).await, [Err(1)]);
        assert_eq!(scene.answer(1).await, [Err(2)]);
        assert_eq!(scene.answer(2).await, [Ok(()); 2]);
        assert_eq!(scene.asked.load(Ordering::SeqCst), 3);
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
