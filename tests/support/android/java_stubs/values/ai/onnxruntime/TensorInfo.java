package ai.onnxruntime;

public class TensorInfo implements ValueInfo {
  final long[] shape;

  public final OnnxJavaType type;

  TensorInfo(long[] shape, OnnxJavaType type) {
    this.shape = shape;
    this.type = type;
  }

  public long[] getShape() {
    return shape.clone();
  }
}
