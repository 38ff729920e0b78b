"""Kotlin to ``classes.dex``: compiled, shrunk, translated.

The interface compiled against is Android 6's, the newest that is packaged; newer calls do not compile here, so the APK
cannot make one by mistake.
"""

from __future__ import annotations

from pathlib import Path

from convert.apk.resources import MIN_SDK
from convert.apk.toolchain import Toolchain

# Android has the static hashCode of numbers since level 24, which the interface here does not show.
# dx knows classes and no invokedynamic.
FLAGS = ("-jvm-target", "1.8", "-Xlambdas=class", "-Xsam-conversions=class", "-Xstring-concat=inline")
KEEP = """
-dontobfuscate
-dontnote
-dontoptimize
-dontwarn kotlin.**,java.lang.Boolean,java.lang.Double,java.lang.Float,java.lang.Integer,java.lang.Long
-keep public class * extends android.app.Activity
-keep public class * extends android.app.Application
-keep public class * extends android.content.ContentProvider
-keep class dev.gemmabridge.jni.ChunkSink { *; }
-keep class dev.gemmabridge.core.EngineException { *; }
-keepclasseswithmembers,includedescriptorclasses class * { native <methods>; }
-keepclassmembers enum * { public static **[] values(); public static ** valueOf(java.lang.String); }
-keepattributes Exceptions,InnerClasses,Signature,SourceFile,LineNumberTable
"""


def compile_kotlin(tools: Toolchain, sources: list[Path], out: Path, work: Path) -> None:
    """Compiles against Android and Kotlin's standard library alone, no JDK.

    Raises:
        ToolError: with the compiler's complaints.
    """
    classpath = f"{tools.android_jar}:{tools.stdlib}"
    files = [str(path) for path in sources]
    flags = ["-no-jdk", "-no-stdlib", "-no-reflect", "-Werror", "-cp", classpath, *FLAGS, "-d", str(out)]
    jars = sorted((tools.root / "npm/lib").glob("*.jar"))
    main = "org.jetbrains.kotlin.cli.jvm.K2JVMCompiler"
    tools.java(main, jars, [*flags, "-module-name", "sample", *files], work, heap="1536m")


def to_dex(tools: Toolchain, classes: Path, out: Path, work: Path) -> None:
    """Takes what the app uses of itself and of Kotlin's library, and translates it for Android.

    Raises:
        ToolError: a class is missing, or cannot be translated.
    """
    rules = work / "rules.pro"
    annotations = tools.root / "npm/lib/annotations-13.0.jar"  # of nullness; nothing reads them at run time
    inputs = f"-injars {classes}\n-injars {tools.stdlib}(!META-INF/**,!**.kotlin_builtins)\n-outjars shrunk.jar\n"
    rules.write_text(f"{inputs}-libraryjars {tools.android_jar}\n-libraryjars {annotations}\n{KEEP}", "utf-8")
    tools.java("proguard.ProGuard", [tools.jar("proguard")], [f"@{rules.name}"], work)
    arguments = ["--dex", f"--min-sdk-version={MIN_SDK}", f"--output={out}", "shrunk.jar"]
    tools.java("com.android.dx.command.Main", [tools.jar("com.android.dx")], arguments, work)
