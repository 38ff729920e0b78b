package ai.onnxruntime;

public abstract class OnnxTensorLike implements OnnxValue {
  protected final long nativeHandle;
  protected final TensorInfo info;
  protected boolean closed;

  OnnxTensorLike(long nativeHandle, TensorInfo info) {
    this.nativeHandle = nativeHandle;
    this.info = info;
  }

  long getNativeHandle() {
    return nativeHandle;
  }

  @Override
  public TensorInfo getInfo() {
    return info;
  }

  @Override
  public synchronized boolean isClosed() {
    return closed;
  }

  protected void checkClosed() {
    if (closed) {
      throw new IllegalStateException("Trying to use a closed OnnxValue");
    }
  }
}
