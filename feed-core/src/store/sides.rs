//! The interface of each side to a database; empty if the side is not compiled in.

#[cfg(feature = "publish")]
pub(crate) trait PublishSide:
    super::publish::NativePublish + super::publish::Publish
{
}
#[cfg(feature = "publish")]
impl<B: super::publish::NativePublish + super::publish::Publish> PublishSide for B {}

#[cfg(not(feature = "publish"))]
pub(crate) trait PublishSide {}
#[cfg(not(feature = "publish"))]
impl<B> PublishSide for B {}

#[cfg(feature = "consume")]
pub(crate) trait ConsumeSide:
    super::consume::NativeConsume
    + super::consume::Consume
    + super::decide::Decide
    + super::operate::NativeOperate
    + super::operate::Operate
    + super::replay::Replay
{
}
#[cfg(feature = "consume")]
impl<B> ConsumeSide for B where
    B: super::consume::NativeConsume
        + super::consume::Consume
        + super::decide::Decide
        + super::operate::NativeOperate
        + super::operate::Operate
        + super::replay::Replay
{
}

#[cfg(not(feature = "consume"))]
pub(crate) trait ConsumeSide {}
#[cfg(not(feature = "consume"))]
impl<B> ConsumeSide for B {}
