package ai.onnxruntime;

import java.util.Collections;
import java.util.Map;

public final class OnnxModelMetadata {
  private final Map<String, String> customMetadata;

  OnnxModelMetadata(Map<String, String> customMetadata) {
    this.customMetadata = customMetadata;
  }

  public Map<String, String> getCustomMetadata() {
    return Collections.unmodifiableMap(customMetadata);
  }
}
