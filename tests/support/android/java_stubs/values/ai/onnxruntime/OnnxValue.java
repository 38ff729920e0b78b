package ai.onnxruntime;

public interface OnnxValue extends AutoCloseable {
  ValueInfo getInfo();

  boolean isClosed();

  @Override
  void close();
}
